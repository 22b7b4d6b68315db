/// SIGINT, SIGTERM and SIGHUP end every command within a second.
///
/// Most commands have nothing to put in order: the signal takes its usual effect, whatever the command is doing. A command that starts
/// processes or leaves files ends in order: its task is cancelled, it reaps, removes, writes what there is, and then the signal is raised
/// again. If that takes too long, or at a second signal, the process ends anyway; its processes die with it, and the next start removes the
/// files.
import ArgumentParser
import Dispatch
import Glibc
import Synchronization

/// A command that starts processes, or whose files are worth nothing half-written.
protocol EndsInOrder: AsyncParsableCommand {}

final class Signals {
    /// Kept: a source that is let go of is silent.
    private let sources: [any DispatchSourceSignal]

    /// The first signal that came.
    private static let received = Mutex<Int32?>(nil)
    /// When the process ends without waiting any longer for the command; nil while it writes its results.
    private static let patience = Mutex<Duration?>(.milliseconds(900))

    /// From now on a signal cancels the task instead of ending the process.
    init<Success: Sendable, Failure: Error>(cancel task: Task<Success, Failure>) {
        // A queue of its own has a thread even while every other one computes.
        let queue = DispatchQueue(label: "signals", qos: .userInteractive)
        sources = [SIGINT, SIGTERM, SIGHUP].compactMap { number in
            // What was ignored from the start, as under nohup, stays ignored.
            var inherited = sigaction()
            guard sigaction(number, nil, &inherited) == 0, !isIgnored(inherited) else { return nil }
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                let isFirst = Self.received.withLock { first in
                    defer { first = first ?? number }
                    return first == nil
                }
                guard isFirst else { return raiseAgain(number) }
                task.cancel()
                Self.endWithoutWaiting(number, on: queue, began: .now)
            }
            source.activate()
            return source
        }
    }

    /// Everything has stopped, and what there is will be written: from now on only a second signal cuts that short.
    static func resultsAreBeingWritten() { patience.withLock { $0 = nil } }

    /// Ends the process by the signal that came, if one did.
    func reraise() { if let number = Self.received.withLock({ $0 }) { raiseAgain(number) } }

    private static func endWithoutWaiting(_ number: Int32, on queue: DispatchQueue, began: ContinuousClock.Instant) {
        queue.asyncAfter(deadline: .now() + .milliseconds(50)) {
            guard let patience = patience.withLock({ $0 }) else { return }
            if ContinuousClock.now - began >= patience { raiseAgain(number) } else { endWithoutWaiting(number, on: queue, began: began) }
        }
    }
}

/// The first SIGINT, SIGTERM or SIGHUP, for a command that looks for it and ends in order. A second one takes its usual effect.
final class Interruption {
    private let sources: [any DispatchSourceSignal]
    private let come = Come()

    private final class Come: Sendable {
        private let flag = DispatchSemaphore(value: 0)
        func signal() { flag.signal() }
        func take() -> Bool {
            guard flag.wait(timeout: .now()) == .success else { return false }
            flag.signal()
            return true
        }
    }

    var hasCome: Bool { come.take() }

    init() {
        let come = come
        sources = [SIGINT, SIGTERM, SIGHUP].compactMap { number in
            var inherited = sigaction()
            guard sigaction(number, nil, &inherited) == 0, !isIgnored(inherited) else { return nil }
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global(qos: .userInitiated))
            source.setEventHandler {
                come.signal()
                signal(number, SIG_DFL)
            }
            source.activate()
            return source
        }
    }
}

/// The signal takes its usual effect on this process.
private func raiseAgain(_ number: Int32) {
    // git bisect run takes a status of 128 and more as the end of the bisection.
    if Ackmatrix.bisects { _exit(Inconclusive.status) }
    signal(number, SIG_DFL)
    // Dispatch's threads block signals, and this may be one of them.
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, number)
    pthread_sigmask(SIG_UNBLOCK, &set, nil)
    raise(number)
}

private func isIgnored(_ action: sigaction) -> Bool {
    unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
}
