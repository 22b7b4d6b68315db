/// Where blocking system calls of this room run: on threads of their own, never on the cooperative pool.
///
/// Every blocking call takes a deadline, so that a thread is held for a bounded time only.
import Dispatch
import Glibc

/// A point on CLOCK_MONOTONIC, in nanoseconds.
package struct Deadline: Hashable, Sendable, Comparable {
    package let nanoseconds: UInt64

    package static var now: Deadline { Deadline(nanoseconds: monotonicNanoseconds()) }

    package static func after(seconds: Double) -> Deadline {
        Deadline(nanoseconds: now.nanoseconds + UInt64(seconds * 1e9))
    }

    package static func < (left: Deadline, right: Deadline) -> Bool { left.nanoseconds < right.nanoseconds }

    /// Nanoseconds still to go; 0 when it has passed.
    package var remaining: UInt64 {
        let now = Deadline.now.nanoseconds
        return nanoseconds > now ? nanoseconds - now : 0
    }

    /// As `poll` takes it: whole milliseconds, rounded up.
    var pollTimeout: Int32 { Int32(min((remaining + 999_999) / 1_000_000, UInt64(Int32.max))) }
}

private func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Runs `body`, which may block up to its deadline, on a thread of its own.
func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        // A queue of its own for each call: the workers of a shared concurrent queue are as few as the processors, and calls that
        // wait would make each other wait.
        DispatchQueue(label: "ackmatrix.blocking").async { continuation.resume(with: Result(catching: body)) }
    }
}
