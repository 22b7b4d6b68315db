/// The transitions of the migration status, for each side.
///
/// QEMU changes the status by compare-and-swap, and prints nothing if the status is not the expected one. The tables hold the transitions
/// between printed statuses of 10.0 to 11.1 (`failing` since 11.0, `postcopy-device` since 10.2), and those of an older source, which
/// enters `device` only after a pause.
import MigrationTrace

struct StatusArcs: Sendable {
    private var table: [MigrationStatus: [MigrationStatus]]
    /// nil before the first status, and after missing lines. A final status stays.
    private(set) var status: MigrationStatus?
    /// Lines are missing since the status.
    private var isUncertain = false
    /// The statuses that this migration has had.
    private var reached: Set<MigrationStatus> = []

    private init(_ table: [MigrationStatus: [MigrationStatus]]) { self.table = table }

    static let source = StatusArcs(sourceArcs)
    /// For a source that skips `device` unless it pauses before the switchover (8.1 to 9.2).
    static let sourceWithoutDevice = StatusArcs(arcsWithoutDevice)
    static let destination = StatusArcs(destinationArcs)
    /// A snapshot is saved in one go, with the guest stopped.
    static let snapshot = StatusArcs([.none: [.setup], .setup: [.completed, .failed], .completed: [.setup], .failed: [.setup]])

    /// The arcs of a source whose newest status is known: it sets that one and those before it where they are due.
    func limited(to newest: SideTraits.NewestStatus?) -> StatusArcs {
        guard let newest else { return self }
        var arcs = self
        func replace(_ old: MigrationStatus, by new: MigrationStatus, since: SideTraits.NewestStatus) {
            let gone = newest < since ? new : old
            for (from, legal) in arcs.table where legal.contains(old) && legal.contains(new) {
                arcs.table[from] = legal.filter { $0 != gone }
            }
        }
        replace(.postcopyRecover, by: .postcopyRecoverSetup, since: .postcopyRecoverSetup)
        replace(.postcopyActive, by: .postcopyDevice, since: .postcopyDevice)
        replace(.failed, by: .failing, since: .failing)
        return arcs
    }

    static func isFinal(_ status: MigrationStatus) -> Bool { status == .completed || status == .failed || status == .cancelled }

    func has(reached status: MigrationStatus) -> Bool { reached.contains(status) }

    /// The final status, once there is one.
    var final: MigrationStatus? { status.flatMap { Self.isFinal($0) ? $0 : nil } }

    /// `mayLackDevice`: the release is not known, and 8.1 to 9.2 skip the status `device`.
    mutating func move(to next: MigrationStatus, _ reporter: inout RuleReporter, mayLackDevice: Bool = false) {
        let isOld = mayLackDevice && status.map { arcsWithoutDevice[$0]?.contains(next) == true } == true
        if let status, !isUncertain, !isOld, table[status]?.contains(next) != true {
            let legal = (table[status] ?? []).map(\.rawValue).sorted().joined(separator: ", ")
            reporter.report(
                .statusArc, found: "the status went from \(status.rawValue) to \(next.rawValue)",
                legal: legal.isEmpty ? "\(status.rawValue) is final" : "from \(status.rawValue): \(legal)")
        }
        status = next
        isUncertain = false
        reached.insert(next)
    }

    /// Lines are missing here. No line takes a final status back.
    mutating func lose() {
        if final == nil { status = nil }
        isUncertain = true
    }
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
