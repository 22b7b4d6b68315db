/// A network card of a failover pair: when a migration begins, the guest is asked to unplug the card, and the migration waits until it has.
import MigrationTrace

package final class Unplug: SaveVMHandlers {
    package let idstr: String
    /// The nanoseconds from the first check until the guest has unplugged the card; nil if it never does.
    package let delay: UInt64?
    private var asked: UInt64?

    package init(idstr: String = "failover-nic", delay: UInt64?) {
        self.idstr = idstr
        self.delay = delay
    }

    package func unplugIsPending(at now: UInt64) -> Bool {
        let asked = self.asked ?? now
        self.asked = asked
        return delay.map { now < asked &+ $0 } ?? true
    }

    /// Plugs the card again: the guest keeps it, or another migration is to move it.
    package func saveCleanup(_ call: inout Call) -> Progress {
        asked = nil
        return .done
    }
}
