/// Runs blocking system calls on threads of their own, never on the cooperative pool.
///
/// Each blocking call has a deadline, so that it holds a thread for a bounded time.
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

    /// Nanoseconds until the deadline; 0 after it has passed.
    package var remaining: UInt64 {
        let now = Deadline.now.nanoseconds
        return nanoseconds > now ? nanoseconds - now : 0
    }

    /// The remaining time for `poll`, in milliseconds, rounded up.
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
        // Each call has its own queue: a shared concurrent queue has as many workers as there are processors, so waiting calls would delay
        // each other.
        DispatchQueue(label: "ackmatrix.blocking").async { continuation.resume(with: Result(catching: body)) }
    }
}
