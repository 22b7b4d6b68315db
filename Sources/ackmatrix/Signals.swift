/// Signals end a run in order: cancel, reap, write what there is, then raise the signal again.
import Dispatch
import Glibc
import Synchronization

final class Signals: Sendable {
    private let received = Mutex<Int32?>(nil)
    /// Kept: a source that is let go of is silent.
    private let sources = Mutex<[any DispatchSourceSignal]>([])

    /// From now on SIGINT, SIGTERM and SIGHUP cancel the task instead of ending the process.
    static func cancel<Success: Sendable, Failure: Error>(_ task: Task<Success, Failure>) -> Signals {
        let signals = Signals()
        for number in [SIGINT, SIGTERM, SIGHUP] {
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                signals.received.withLock { $0 = $0 ?? number }
                task.cancel()
            }
            source.activate()
            signals.sources.withLock { $0.append(source) }
        }
        return signals
    }

    /// Ends the process by the signal that came, if one did.
    func reraise() {
        guard let number = received.withLock({ $0 }) else { return }
        signal(number, SIG_DFL)
        raise(number)
    }
}
