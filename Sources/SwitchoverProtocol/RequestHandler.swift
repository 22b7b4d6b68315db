/// How modules ask for ACKs in the first posting: through a handler of their own, which is told the stage.

/// Where in a migration a module is asked whether it wants an ACK (v1).
package enum RequestStage: String, CaseIterable, Hashable, Sendable {
    /// With the modules' set-up.
    case setup = "SETUP"
    /// With an exact query; an estimate asks nobody.
    case pendingExact = "PENDING_EXACT"
    /// Guest stopped: a request fails the migration.
    case complete = "COMPLETE"
}

extension SourceLedger {
    /// A module requests an ACK at this stage. The number that the trace shows is `pending`.
    ///
    /// - Throws: at `complete`, always, with the text of 11.1, as what v1 said there is not known; before, the counter would pass its range.
    package mutating func request(at stage: RequestStage, by requester: String) throws(ProtocolError) {
        guard collects, generation.has(.requestHandler) else { return }
        try collect(1, by: requester)
        if stage == .complete { throw Self.requestedDuringSwitchover(1) }
    }

    package static func requestedDuringSwitchover(_ requests: UInt32) -> ProtocolError {
        ProtocolError("Switchover ACK was requested by \(requests) devices during switchover")
    }
}
