/// The contract between the engine and a module, whose state a migration moves.
///
/// Each function says which thread calls it, and with which lock (BQL: the one lock of the process). A function that makes a device call
/// returns `.again`: it is called once more, its `stage` one higher, when the device call's cost has passed and its gates are open. So
/// nothing blocks inside a module. A migration that goes well calls savePrepare, saveSetup, { saveQueryPending, saveLiveIterate },
/// saveQueryPending (exact), vmStateChange, saveQueryPending (final), saveComplete, saveState, saveCleanup.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import VFIO

/// Why a module fails.
package struct ModuleError: Error, Hashable, Sendable {
    /// The error that the migration stores.
    package let text: String
    /// A negative errno, as the trace shows it.
    package var result: Int64 = -5
    package init(_ text: String, result: Int64 = -5) {
        self.text = text
        self.result = result
    }
}

package enum Progress: Hashable, Sendable {
    /// The call is over, with this result; that of an iteration is 1 for "nothing left now" and 0 for "more".
    case done(Int64)
    /// The call is to be made again, with the next stage, when the device call has returned.
    case again

    package static let done = Progress.done(0)
}

/// The reasons of precopy notifiers, in their order; the balloon listens to them.
package enum PrecopyReason: Int64, Hashable, Sendable {
    case setup, beforeBitmapSync, afterBitmapSync, complete, cleanup
}

/// The reasons of migration notifiers, by their numbers since 11.0.
package enum MigrationReason: Int64, Hashable, Sendable {
    case setup, postcopyStart, done, failed

    /// The number that a device's notifier shows; nil for the start of postcopy before 11.0, when there was no notification of it.
    package func number(in generation: Generation) -> Int64? {
        if generation.has(.failing) { return rawValue }
        switch self {
        case .setup: return rawValue
        case .postcopyStart: return nil
        case .done, .failed: return rawValue - 1
        }
    }
}

/// A call of a module: what the call may use, and what it leaves.
package struct Call: ~Copyable {
    /// The process; its log receives events.
    package let host: Host
    /// 0 at first, one more each time the call returns `.again`.
    package var stage: Int
    /// Nanoseconds of virtual time that the call takes, beside those of its device calls (`Host.delay`).
    package var cost: UInt64 = 0
    /// The payload that a saving call writes into its section.
    package var payload: [SectionRecord] = []

    package init(host: Host, stage: Int) {
        self.host = host
        self.stage = stage
    }
}

package protocol SaveVMHandlers: AnyObject {
    /// The name, instance and version of the module's section; its id is given when the module is registered.
    var idstr: String { get }
    var instance: UInt32 { get }
    var version: UInt32 { get }
    /// Larger is earlier in the list (RAM 10, VFIO 0, dirty bitmaps 0 after RAM).
    var priority: Int { get }
    /// The module has START, PART and END sections.
    var isIterable: Bool { get }
    /// The module has a FULL section.
    var hasState: Bool { get }

    // MARK: Source

    /// True if the module takes part in this migration. Any thread.
    func isActive(_ host: Host) -> Bool
    /// True if the module goes on in postcopy. Any thread.
    func hasPostcopy(_ host: Host) -> Bool
    /// True if the module has PARTs now. Migration thread, no BQL.
    func isActiveIterate(_ host: Host) -> Bool
    /// May refuse the migration, before anything is sent. Main thread, BQL.
    func savePrepare(_ host: Host) throws(ModuleError)
    /// Writes START. Migration thread, BQL.
    func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress
    /// Adds to `pending`. Migration thread; no BQL, but when `final`, when it must not be taken.
    func saveQueryPending(_ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call) throws(ModuleError) -> Progress
    /// True if the data that the module has requested ACKs for was sent whole with its last PART. Migration thread; asked where the core
    /// announces requests.
    var initialDataIsSent: Bool { get }
    /// True if the guest has not unplugged the device yet, as it was asked to when the migration began. Migration thread, before the
    /// iterations.
    func unplugIsPending(at now: UInt64) -> Bool
    /// Writes PART, no more than `budget` bytes. Migration thread, no BQL.
    func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress
    /// The module has a PART before postcopy.
    var preparesPostcopy: Bool { get }
    /// The module's END is written again at the end of a postcopy that it took no part in.
    var endsTwice: Bool { get }
    /// Writes the PART before postcopy, guest running. Migration thread, no BQL (10.1 and later).
    func savePostcopyPrepare(_ call: inout Call) throws(ModuleError) -> Progress
    /// Writes END: all the rest. Migration thread, BQL.
    func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress
    /// Writes FULL. Migration thread, BQL.
    func saveState(_ call: inout Call) throws(ModuleError) -> Progress
    /// Prepares to resume a paused postcopy. Migration thread.
    func resumePrepare(_ call: inout Call) throws(ModuleError) -> Progress
    /// Cleans up after every migration, also after one without saveSetup. Main thread, BQL.
    func saveCleanup(_ call: inout Call) -> Progress

    // MARK: Destination

    /// Sets the load up, before the first section is read. Main thread, BQL.
    func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress
    /// Loads one record of a START, PART, END or FULL. Main thread (BQL), or listen thread.
    func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress
    /// Handles SWITCHOVER_START. Main thread, BQL.
    func switchoverStart(_ call: inout Call) throws(ModuleError) -> Progress
    /// True if the module is a user of switchover-ack. Main thread, BQL; asked up to 11.0, after all loadSetup.
    var switchoverAckNeeded: Bool { get }
    /// The module's name in approvals.
    var approver: String { get }
    /// Cleans up after every load. Main thread, BQL.
    func loadCleanup(_ call: inout Call) -> Progress

    // MARK: Notifications

    /// True if the first of the two passes over all devices, `vmStatePrepare`, includes the module.
    var hasVMStatePrepare: Bool { get }
    func vmStatePrepare(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress
    func vmStateChange(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress
    func migrationNotified(_ reason: MigrationReason, _ call: inout Call) -> Progress
    func precopyNotified(_ reason: PrecopyReason, _ host: Host)
}

// Most modules take part in few calls.
extension SaveVMHandlers {
    package var instance: UInt32 { 0 }
    package var version: UInt32 { 1 }
    package var priority: Int { 0 }
    package var isIterable: Bool { false }
    package var hasState: Bool { false }
    package func isActive(_ host: Host) -> Bool { true }
    package func hasPostcopy(_ host: Host) -> Bool { false }
    package func isActiveIterate(_ host: Host) -> Bool { true }
    package func savePrepare(_ host: Host) throws(ModuleError) {}
    package func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func saveQueryPending(
        _ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call
    ) throws(ModuleError) -> Progress { .done }
    package func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress { .done(1) }
    package var preparesPostcopy: Bool { false }
    package var endsTwice: Bool { false }
    package func savePostcopyPrepare(_ call: inout Call) throws(ModuleError) -> Progress { .done(1) }
    package func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func saveState(_ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func resumePrepare(_ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func saveCleanup(_ call: inout Call) -> Progress { .done }
    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func switchoverStart(_ call: inout Call) throws(ModuleError) -> Progress { .done }
    package var switchoverAckNeeded: Bool { false }
    package var approver: String { idstr }
    package var initialDataIsSent: Bool { true }
    package func unplugIsPending(at now: UInt64) -> Bool { false }
    package func loadCleanup(_ call: inout Call) -> Progress { .done }
    package var hasVMStatePrepare: Bool { false }
    package func vmStatePrepare(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func vmStateChange(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress { .done }
    package func migrationNotified(_ reason: MigrationReason, _ call: inout Call) -> Progress { .done }
    package func precopyNotified(_ reason: PrecopyReason, _ host: Host) {}
}
