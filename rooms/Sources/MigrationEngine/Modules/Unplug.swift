/// A network card of a failover pair: the guest is asked to let go of it when a migration begins, and it cannot be moved before the guest has.
import MigrationTrace

package final class Unplug: SaveVMHandlers {
    package let idstr: String
    /// Nanoseconds from the first look to when the guest has let go; nil: it never does.
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

    /// It is plugged again, as the guest keeps it or another migration is to move it.
    package func saveCleanup(_ call: inout Call) -> Progress {
        asked = nil
        return .done
    }
}
