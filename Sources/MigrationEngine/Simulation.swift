/// Runs the threads of all hosts in virtual time: the one whose next step is due first takes it. The same seed makes the same run.
import MigrationTrace

package final class Simulation {
    package let clock: Clock
    package private(set) var hosts: [Host] = []
    /// How many steps were taken.
    package private(set) var steps = 0
    /// The seed of all chance: of the times that steps take, and of what a guest does.
    package let seed: UInt64

    /// Seed 0 leaves nothing to chance; every other seed varies the time that each step takes.
    package init(seed: UInt64 = 0, _ chance: Clock.Chance = .calm) {
        self.seed = seed
        clock = Clock(seed: seed, chance)
    }

    /// Receives a host that has ended itself.
    package var aborted: (Host) -> Void = { $0.end() }

    /// Receives the thread that is about to take a step.
    package var willStep: ((EngineThread) -> Void)?

    // Threads keep their hosts.
    deinit { for host in hosts { host.end() } }

    package func add(_ host: Host) { hosts.append(host) }

    /// The thread whose next step is due first, and when. Hosts and threads are only read here, and none ends meanwhile: counting
    /// references to each was a third of a run's time.
    private func first(_ at: inout UInt64) -> EngineThread? {
        unowned(unsafe) var next: EngineThread?
        hosts.withUnsafeBufferPointer { hosts in
            for number in hosts.indices {
                unowned(unsafe) let host = hosts[number]
                guard !host.isHalted else { continue }
                host.threads.withUnsafeBufferPointer { threads in
                    for number in threads.indices {
                        unowned(unsafe) let thread = threads[number]
                        guard let time = thread.nextTime(before: at) else { continue }
                        next = thread
                        at = time
                    }
                }
            }
        }
        return next
    }

    /// Takes the next step. Returns false if no thread can.
    package func step() -> Bool {
        var at = UInt64.max
        guard let next = first(&at) else { return false }
        clock.now = max(clock.now, at)
        willStep?(next)
        next.begin()
        next.step()
        steps += 1
        if next.host.abortion != nil, !next.host.isGone { aborted(next.host) }
        if next.isOver { next.host.threads.removeAll { $0 === next } }
        return true
    }
}
