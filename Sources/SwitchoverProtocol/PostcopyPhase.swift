/// The postcopy phase of a destination, and the commands that each phase accepts.

package enum PostcopyCommand: String, CaseIterable, Hashable, Sendable {
    case advise = "CMD_POSTCOPY_ADVISE"
    case discard = "CMD_POSTCOPY_RAM_DISCARD"
    case listen = "CMD_POSTCOPY_LISTEN"
    case run = "CMD_POSTCOPY_RUN"
}

/// The raw value is the number in error texts.
package enum PostcopyPhase: Int, CaseIterable, Hashable, Sendable {
    case none, advise, discard, listening, running, end

    /// The phase after a command.
    ///
    /// - Parameter postcopyRAM: true if the capability is on: memory itself is in postcopy.
    /// - Throws: the phase does not accept the command; the load fails.
    package func after(
        _ command: PostcopyCommand, _ generation: Generation, postcopyRAM: Bool
    ) throws(ProtocolError) -> PostcopyPhase {
        switch (command, self) {
        case (.advise, .none): .advise
        case (.discard, .advise), (.discard, .discard): .discard
        // LISTEN makes up for the preparations of a first RAM_DISCARD, which also set the phase (10.0.13, 11.1.3).
        case (.listen, .advise) where postcopyRAM && generation.has(.listenSetsBackToDiscard): .discard
        case (.listen, .advise), (.listen, .discard): .listening
        case (.run, .listening): .running
        default: throw ProtocolError("\(command.rawValue) in wrong postcopy state (\(rawValue))")
        }
    }

    /// True if an error of the channel pauses the destination, instead of failing it.
    package func pausesOnChannelError(postcopyRAM: Bool) -> Bool { self == .running && postcopyRAM }
}
