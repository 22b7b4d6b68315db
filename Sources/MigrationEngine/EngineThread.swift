/// A thread of a host: a resumable state machine that takes one step at a time, each of which costs virtual time.
import VFIO

/// The name of an enumeration's case, without its associated values.
func caseName<Value>(_ value: Value?) -> String {
    guard let value else { return "none" }
    return Mirror(reflecting: value).children.first?.label ?? "\(value)"
}

package class EngineThread {
    /// The process that the thread belongs to: host and thread keep each other until the thread is over.
    package final let host: Host
    /// The clock that all threads share.
    package final let clock: Clock
    /// The virtual time at which the next step may be taken.
    private final var readyAt: UInt64
    private final var hold: DeviceHold?
    /// The gates of `hold` that are not open yet.
    private final var closed: UInt32 = 0
    package private(set) final var isOver = false

    init(_ host: Host, _ clock: Clock) {
        self.host = host
        self.clock = clock
        readyAt = clock.now
        host.threads.append(self)
    }

    /// When the input that the thread waits for is there; nil while it is not.
    package var inputArrival: UInt64? { nil }

    /// Takes the next step.
    package func step() {}

    /// The kind of thread and of its next step, to count steps by kind.
    package var stepName: String { "thread" }

    /// When the next step can be taken, if that is before this time; nil otherwise, and while the thread waits. The host must not be
    /// halted.
    final func nextTime(before limit: UInt64) -> UInt64? {
        guard readyAt < limit, closed == 0, !isOver, let arrival = inputArrival, arrival < limit else { return nil }
        return max(readyAt, arrival)
    }

    /// Begins the step at this time: the gates that held the thread let go.
    final func begin() {
        readyAt = max(readyAt, clock.now)
        // Nobody waits for calls that were made outside a step, or by a step that failed.
        host.delay.clear()
        if let hold {
            hold.device.tell(hold.gates, begins: false)
            self.hold = nil
        }
    }

    /// Lets this much virtual time pass before the next step.
    final func spend(_ nanoseconds: UInt64) { readyAt = max(readyAt, clock.now) + clock.jittered(nanoseconds) }

    /// Takes no step before this time.
    final func sleep(until time: UInt64) { readyAt = max(readyAt, time) }

    /// Waits for a module's call: for the time that it and its device calls take, and for the gates that hold them.
    final func settle(_ call: borrowing Call) {
        spend(call.cost + host.delay.cost + Pace.call)
        let held = host.delay.hold
        host.delay.clear()
        guard var hold = held else { return }
        hold.gates = hold.device.closed(hold.gates, on: host)
        guard hold.gates != 0 else { return }
        hold.device.tell(hold.gates, begins: true)
        self.hold = hold
        closed = hold.gates
    }

    /// Looks, after a gate was opened, which gates still hold the thread.
    final func gateOpened() {
        if let hold { closed = hold.device.closed(hold.gates, on: host) }
    }

    final func end() {
        unlock()
        isOver = true
    }

    // MARK: The host's lock

    final var holdsLock: Bool { host.lockOwner === self }
    /// True if this thread holds the host's lock or nobody does.
    final var mayLock: Bool { host.lockOwner == nil || holdsLock }
    final func lock() { host.lockOwner = self }
    final func unlock() { if holdsLock { host.lockOwner = nil } }
}

/// The costs of steps, in nanoseconds of virtual time. They are coarser than real ones, so that a source that waits makes tens of
/// iterations in a window of 100 ms, and not thousands.
package enum Pace {
    static let call: UInt64 = 1_000
    static let step: UInt64 = 5_000
    static let query: UInt64 = 1_400_000
    /// The time between two checks for a device that the guest is to unplug.
    static let unplugPoll: UInt64 = 250_000_000
    /// The cost of a byte on the wire, in 1/1024 of a nanosecond.
    static let byte: UInt64 = 512
}

/// Virtual time, with a seed that makes it uneven.
package final class Clock {
    package var now: UInt64 = 0
    private var random: RandomSource?
    private let chance: Chance

    /// How often a thread gets no processor, and for how long.
    package enum Chance: Sendable {
        /// An idle machine: one step in 4,096 waits up to 4 ms.
        case calm
        /// A busy machine: one step in 64 waits up to 20 ms.
        case rough

        fileprivate var mask: UInt64 { self == .calm ? 0xfff : 0x3f }
        fileprivate var longest: UInt64 { self == .calm ? 4_000_000 : 20_000_000 }
    }

    /// Seed 0 leaves nothing to chance.
    package init(seed: UInt64 = 0, _ chance: Chance = .calm) {
        random = seed == 0 ? nil : RandomSource(seed: seed)
        self.chance = chance
    }

    /// A time from a quarter to four times as long; now and then much longer, as when a thread gets no processor.
    func jittered(_ nanoseconds: UInt64) -> UInt64 {
        guard random != nil else { return nanoseconds }
        let word = random!.next()
        if word & chance.mask == 0 { return nanoseconds + (word >> 32) % chance.longest }
        return (nanoseconds << ((word >> 8) & 3) &+ (word >> 16) & 0x7ff) >> 2 &+ nanoseconds >> 2
    }
}

/// Pseudo-random numbers, the same for the same seed (splitmix64).
package struct RandomSource: RandomNumberGenerator, Hashable, Sendable {
    private var state: UInt64

    package init(seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }
}
