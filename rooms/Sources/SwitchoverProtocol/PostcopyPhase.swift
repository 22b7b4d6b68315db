/// How far a destination is in postcopy, and which command it takes when.

package enum PostcopyCommand: String, CaseIterable, Hashable, Sendable {
    case advise = "CMD_POSTCOPY_ADVISE"
    case discard = "CMD_POSTCOPY_RAM_DISCARD"
    case listen = "CMD_POSTCOPY_LISTEN"
    case run = "CMD_POSTCOPY_RUN"
}

/// Its raw value is what error texts show.
package enum PostcopyPhase: Int, CaseIterable, Hashable, Sendable {
    case none, advise, discard, listening, running, end

    /// The phase after a command.
    ///
    /// - Parameter postcopyRAM: the capability is on: memory itself is in postcopy.
    /// - Throws: the command is not for this phase; the load fails.
    package func after(
        _ command: PostcopyCommand, _ generation: Generation, postcopyRAM: Bool
    ) throws(ProtocolError) -> PostcopyPhase {
        switch (command, self) {
        case (.advise, .none): .advise
        case (.discard, .advise), (.discard, .discard): .discard
        // What a first RAM_DISCARD would have prepared is made up for, and with it goes the phase (10.0.13, 11.1.3).
        case (.listen, .advise) where postcopyRAM && generation.has(.listenSetsBackToDiscard): .discard
        case (.listen, .advise), (.listen, .discard): .listening
        case (.run, .listening): .running
        default: throw ProtocolError("\(command.rawValue) in wrong postcopy state (\(rawValue))")
        }
    }

    /// Whether an error of the channel pauses the destination, rather than fail it.
    package func pausesOnChannelError(postcopyRAM: Bool) -> Bool { self == .running && postcopyRAM }
}
