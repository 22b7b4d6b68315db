/// How modules request ACKs in the first posting: through a separate handler, which receives the stage. `SourceLedger.collect` counts each
/// request, and an overflow names its requester; a request with the guest stopped fails the migration (`checkFinal`).

/// The stage of a migration at which a module is asked whether it requests an ACK (v1).
package enum RequestStage: String, CaseIterable, Hashable, Sendable {
    /// The modules' set-up, whose requests the first query collects.
    case setup = "SETUP"
    /// An exact query.
    case pendingExact = "PENDING_EXACT"
    /// The completion, with the guest stopped.
    case complete = "COMPLETE"

    /// The stage of the requests that a query collects.
    package init(exact: Bool, final: Bool) { self = final ? .complete : exact ? .pendingExact : .setup }
}
