/// The arcs of the migration status, for each side.
///
/// A change is a compare-and-swap, and one that does not match prints nothing: so the arcs are between the statuses that are printed, in
/// all the forms of 10.0 to 11.1 (`failing` since 11.0, `postcopy-device` since 10.2), and of a source before, where only a pause leads to
/// `device`.
import MigrationTrace

struct StatusArcs: Sendable {
    private let table: [MigrationStatus: [MigrationStatus]]
    /// nil before the first, and where lines are missing.
    private(set) var status: MigrationStatus?
    /// Statuses this migration has been in.
    private var reached: Set<MigrationStatus> = []

    private init(_ table: [MigrationStatus: [MigrationStatus]]) { self.table = table }

    static let source = StatusArcs(sourceArcs)
    /// Of a source that does without `device`, unless it pauses before the switchover (8.1 to 9.2).
    static let sourceWithoutDevice = StatusArcs(arcsWithoutDevice)
    static let destination = StatusArcs(destinationArcs)
    /// A snapshot is saved in one go, guest stopped.
    static let snapshot = StatusArcs([.none: [.setup], .setup: [.completed, .failed], .completed: [.setup], .failed: [.setup]])

    static let finals: Set<MigrationStatus> = [.completed, .failed, .cancelled]

    func has(reached status: MigrationStatus) -> Bool { reached.contains(status) }

    /// The final status, once there is one.
    var final: MigrationStatus? { status.flatMap { Self.finals.contains($0) ? $0 : nil } }

    mutating func move(to next: MigrationStatus, at spot: Spot, _ breaches: inout Breaches) {
        if let status, table[status]?.contains(next) != true {
            let legal = (table[status] ?? []).map(\.rawValue).sorted().joined(separator: ", ")
            breaches.report(
                .statusArc, at: spot, found: "the status went from \(status.rawValue) to \(next.rawValue)",
                legal: legal.isEmpty ? "\(status.rawValue) is final" : "from \(status.rawValue): \(legal)")
        }
        status = next
        reached.insert(next)
    }

    /// Lines are missing.
    mutating func lose() { status = nil }
}

private let sourceArcs: [MigrationStatus: [MigrationStatus]] = [
    .none: [.setup],
    .setup: [.active, .waitUnplug, .failing, .failed, .cancelling],
    .waitUnplug: [.active, .failing, .failed, .cancelling],
    .active: [.device, .preSwitchover, .failing, .failed, .cancelling],
    .preSwitchover: [.device, .failing, .failed, .cancelling],
    .device: [.completed, .postcopyDevice, .postcopyActive, .colo, .failing, .failed, .cancelling],
    .postcopyDevice: [.postcopyActive, .failing, .failed],
    .postcopyActive: [.completed, .postcopyPaused, .failing, .failed],
    .postcopyPaused: [.postcopyRecoverSetup, .postcopyRecover, .failing, .failed],
    .postcopyRecoverSetup: [.postcopyRecover, .postcopyPaused],
    .postcopyRecover: [.postcopyActive, .postcopyPaused],
    .colo: [.completed, .failing, .failed, .cancelling],
    .failing: [.failed, .cancelling],
    .cancelling: [.cancelled],
    // A process may migrate again.
    .completed: [.setup], .failed: [.setup], .cancelled: [.setup],
]

private let arcsWithoutDevice: [MigrationStatus: [MigrationStatus]] = {
    var arcs = sourceArcs
    arcs[.active] = [.completed, .postcopyActive] + sourceArcs[.active]!.filter { $0 != .device }
    arcs[.preSwitchover]! += [.postcopyActive]
    arcs[.device]!.removeAll { $0 == .postcopyActive }
    return arcs
}()

private let destinationArcs: [MigrationStatus: [MigrationStatus]] = [
    .none: [.setup],
    .setup: [.active, .failed],
    .active: [.completed, .failed, .postcopyDevice, .postcopyActive, .colo],
    .postcopyDevice: [.postcopyActive, .failed],
    .postcopyActive: [.completed, .postcopyPaused, .failed],
    .postcopyPaused: [.postcopyRecoverSetup, .postcopyRecover, .failed],
    .postcopyRecoverSetup: [.postcopyRecover, .postcopyPaused],
    .postcopyRecover: [.postcopyActive, .postcopyPaused],
    .colo: [.completed, .failed],
    .completed: [.setup], .failed: [.setup],
]
