/// Signals end a run in order: cancel, reap, write what there is, then raise the signal again.
import Dispatch
import Glibc
import Synchronization

final class Signals {
    private let received: Received
    /// Kept: a source that is let go of is silent.
    private let sources: [any DispatchSourceSignal]

    private final class Received: Sendable {
        let number = Mutex<Int32?>(nil)
    }

    /// From now on SIGINT, SIGTERM and SIGHUP cancel the task instead of ending the process.
    init<Success: Sendable, Failure: Error>(cancel task: Task<Success, Failure>) {
        let received = Received()
        self.received = received
        sources = [SIGINT, SIGTERM, SIGHUP].compactMap { number in
            // What was ignored from the start, as under nohup, stays ignored.
            var inherited = sigaction()
            guard sigaction(number, nil, &inherited) == 0, !isIgnored(inherited) else { return nil }
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                received.number.withLock { $0 = $0 ?? number }
                task.cancel()
            }
            source.activate()
            return source
        }
    }

    /// Ends the process by the signal that came, if one did.
    func reraise() {
        guard let number = received.number.withLock({ $0 }) else { return }
        fflush(nil)
        signal(number, SIG_DFL)
        // Dispatch's threads block signals, and this may be one of them.
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, number)
        pthread_sigmask(SIG_UNBLOCK, &set, nil)
        raise(number)
    }
}

private func isIgnored(_ action: sigaction) -> Bool {
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}
