/// How modules ask for ACKs in the first posting: through a handler of their own, which is told the stage. Each request is counted by
/// itself, with `SourceLedger.collect`, and an overflow names who made it; one made with the guest stopped fails the migration, as
/// `checkFinal` has it.

/// Where in a migration a module is asked whether it wants an ACK (v1).
package enum RequestStage: String, CaseIterable, Hashable, Sendable {
    /// With the modules' set-up, whose requests the first query finds.
    case setup = "SETUP"
    /// With an exact query.
    case pendingExact = "PENDING_EXACT"
    /// Guest stopped.
    case complete = "COMPLETE"

    /// The stage of what a query finds.
    package init(exact: Bool, final: Bool) { self = final ? .complete : exact ? .pendingExact : .setup }
}
