/// The contract between the engine and a module, whose state a migration moves.
///
/// Each call says which thread makes it, and with which lock (BQL: the one lock of the process). A call that makes a device call returns
/// `.again`: it is called once more, its `stage` one higher, when the device call's cost has passed and its gates are open. So nothing
/// blocks inside a module. A migration that goes well calls savePrepare, saveSetup, { saveQueryPending, saveLiveIterate }, saveQueryPending
/// (exact), vmStateChange, saveQueryPending (final), saveComplete, saveState, saveCleanup.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import VFIO

/// Why a module fails; `text` is what the migration keeps.
package struct ModuleError: Error, Hashable, Sendable {
    package let text: String
    /// Negative, as the trace shows it.
    package var result: Int64 = -5
    package init(_ text: String, result: Int64 = -5) {
        self.text = text
        self.result = result
    }
}

package enum Progress: Hashable, Sendable {
    /// Over; what it returns where it returns something: an iteration 1 for "nothing left now", 0 for "more".
    case done(Int64)
    /// To be called again, with the next stage, when what was called has returned.
    case again

    package static let done = Progress.done(0)
}

/// Precopy notifiers, in their order: what the balloon listens to.
package enum PrecopyReason: Int64, Hashable, Sendable {
    case setup, beforeBitmapSync, afterBitmapSync, complete, cleanup
}

/// Migration notifiers, by their numbers since 11.0.
package enum MigrationReason: Int64, Hashable, Sendable {
    case setup, postcopyStart, done, failed

    /// The number that a device's notifier shows; before 11.0 nobody notified of the start of postcopy, and it had none.
    package func number(in generation: Generation) -> Int64? {
        if generation.has(.failing) { return rawValue }
        switch self {
        case .setup: return rawValue
        case .postcopyStart: return nil
        case .done, .failed: return rawValue - 1
        }
    }
}

/// What a call may use, and what it leaves.
package struct Call: ~Copyable {
    /// The process; its log takes events.
    package let host: Host
    /// 0 at first, one more each time the call returns `.again`.
    package var stage: Int
    /// Nanoseconds of virtual time that the call takes.
    package var cost: UInt64 = 0
    /// What holds it.
    package var hold: Hold?
    /// The payload that a saving call writes into its section.
    package var payload: [SectionRecord] = []

    package init(host: Host, stage: Int) {
        self.host = host
        self.stage = stage
    }

    /// Takes a device's answer: its cost and its gates count for this call.
    package mutating func take<Value>(_ reply: DeviceReply<Value>, of device: any MigrationDevice) -> DeviceReply<Value> {
        cost += reply.cost
        if reply.gates != 0 { hold = Hold(device: device, gates: reply.gates) }
        return reply
    }
}

/// A call that returns when these gates of the device are open.
package struct Hold {
    package let device: any MigrationDevice
    package var gates: UInt32
}

package protocol SaveVMHandlers: AnyObject {
    /// Its section: name, instance and version; `id` is given when it is registered.
    var idstr: String { get }
    var instance: UInt32 { get }
    var version: UInt32 { get }
    /// Larger is earlier in the list (RAM 10, VFIO 0, dirty bitmaps 0 after RAM).
    var priority: Int { get }
    /// Has START, PART and END sections.
    var isIterable: Bool { get }
    /// Has a FULL section.
    var hasState: Bool { get }

    // MARK: Source

    /// Takes part in this migration. Any thread.
    func isActive(_ host: Host) -> Bool
    /// Goes on in postcopy. Any thread.
    func hasPostcopy(_ host: Host) -> Bool
    /// Has PARTs now. Migration thread, no BQL.
    func isActiveIterate(_ host: Host) -> Bool
    /// May refuse the migration, before anything is sent. Main thread, BQL.
    func savePrepare(_ host: Host) throws(ModuleError)
    /// Inside START. Migration thread, BQL.
    func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress
    /// Adds to `pending`. Migration thread; no BQL, but when `final`, when it must not be taken.
    func saveQueryPending(_ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call) throws(ModuleError) -> Progress
    /// What it has requested ACKs for was sent whole, behind its last PART. Migration thread; asked where the core announces requests.
    var initialDataIsSent: Bool { get }
    /// The guest is still to let go of it, as it was asked to when the migration began. Migration thread, before the iterations.
    func unplugIsPending(at now: UInt64) -> Bool
    /// Inside PART; writes no more than `budget` bytes. Migration thread, no BQL.
    func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress
    /// Has a PART before postcopy.
    var preparesPostcopy: Bool { get }
    /// Its END is written again at the end of a postcopy that it took no part in.
    var endsTwice: Bool { get }
    /// Inside a PART before postcopy, guest running. Migration thread, no BQL (10.1 and later).
    func savePostcopyPrepare(_ call: inout Call) throws(ModuleError) -> Progress
    /// Inside END: all the rest. Migration thread, BQL.
    func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress
    /// Inside FULL. Migration thread, BQL.
    func saveState(_ call: inout Call) throws(ModuleError) -> Progress
    /// Postcopy is taken up again. Migration thread.
    func resumePrepare(_ call: inout Call) throws(ModuleError) -> Progress
    /// Always, also without saveSetup. Main thread, BQL.
    func saveCleanup(_ call: inout Call) -> Progress

    // MARK: Destination

    /// Before the first section is read. Main thread, BQL.
    func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress
    /// One record of a START, PART, END or FULL. Main thread (BQL), or listen thread.
    func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress
    /// SWITCHOVER_START has come. Main thread, BQL.
    func switchoverStart(_ call: inout Call) throws(ModuleError) -> Progress
    /// Is a user of switchover-ack. Main thread, BQL; asked up to 11.0, after all loadSetup.
    var switchoverAckNeeded: Bool { get }
    /// As approvals call it.
    var approver: String { get }
    /// Always. Main thread, BQL.
    func loadCleanup(_ call: inout Call) -> Progress

    // MARK: Notifications

    /// Whether the first of two passes over all devices, `vmStatePrepare`, is for it.
    var hasVMStatePrepare: Bool { get }
    func vmStatePrepare(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress
    func vmStateChange(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress
    func migrationNotified(_ reason: MigrationReason, _ call: inout Call) -> Progress
    func precopyNotified(_ reason: PrecopyReason, _ host: Host)
}

/// Most modules take part in little.
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
