/// The gate board of a side, as its runner sees it: opens gates and watches how far each device has come.
///
/// The other end is the shim inside QEMU; what is shared is documented in `harness/vfio/include/gate_board.h`.
import CVFIOMock
import Glibc

/// How far a mock device has come. Counts of queries and bytes are of the present data session.
package struct DeviceProgress: Hashable, Sendable {
    /// The migration state by its uAPI number.
    package let state: UInt64
    /// Successful precopy queries (VFIO_MIG_GET_PRECOPY_INFO).
    package let queries: UInt64
    /// Of these, the ones since the initial bytes were last drained.
    package let drainedQueries: UInt64
    package let drains: UInt64
    package let bytesRead: UInt64
    package let bytesWritten: UInt64
    /// All calls on the device since it was made.
    package let calls: UInt64
    /// Calls held at a gate right now, and ever.
    package let held: UInt64
    package let holds: UInt64

    /// PRE_COPY: the guest runs and its state is being saved.
    package var isInPrecopy: Bool { state == UInt64(VFIO_DEVICE_STATE_PRE_COPY.rawValue) }
}

// Sendable without a lock: every C function of the board is atomic and may be called from any thread.
package final class GateBoard: @unchecked Sendable {
    private let board: OpaquePointer

    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Makes the board's file, which must not exist.
    package init(path: String) throws(Failure) {
        guard let board = gate_board_create(path) else {
            throw Failure(description: "\(path): cannot make a gate board: \(String(cString: strerror(errno)))")
        }
        self.board = board
    }

    deinit { gate_board_unmap(board) }

    /// Opens a gate; it stays open.
    package func open(_ gate: String) throws(Failure) {
        let index = gate_board_gate(board, gate)
        guard index >= 0 else {
            throw Failure(
                description:
                    "gate '\(gate)': expected a name of 1 to \(BOARD_NAME_SIZE - 1) bytes and at most \(BOARD_MAX_GATES) gates a side")
        }
        gate_board_open(board, index)
    }

    /// Opens every gate, known or not yet: nothing may be held when a side is taken down.
    package func openAll() { gate_board_open_all(board) }

    /// Where the board's file has what a shell reads and writes, in bytes from its start.
    package struct Places: Hashable, Sendable {
        /// Where a 1 opens a gate, in 32 bits.
        package let gates: [String: Int]
        /// Where a 1 opens all gates, in 32 bits.
        package let allGates: Int
        /// A device's state, its precopy queries, and its calls held right now, 64 bits each.
        package let states: [String: Int]
        package let queries: [String: Int]
        package let held: [String: Int]
    }

    /// Gives gates and devices their places, which they keep for whoever maps the file.
    package func places(gates: [String], devices: [String]) throws(Failure) -> Places {
        func place(_ names: [String], _ index: (OpaquePointer, String) -> Int32, _ place: (Int32) -> Int) throws(Failure) -> [String: Int] {
            var places: [String: Int] = [:]
            for name in names {
                let index = index(board, name)
                guard index >= 0 else {
                    throw Failure(description: "'\(name)': the board has no room for so many names, or such a long one")
                }
                places[name] = place(index)
            }
            return places
        }
        let progress = try place(devices, { gate_board_device($0, $1) }, { gate_board_place_of_progress($0) })
        func field(_ field: KeyPath<board_progress, UInt64>) -> [String: Int] {
            progress.mapValues { $0 + MemoryLayout<board_progress>.offset(of: field)! }
        }
        return Places(
            gates: try place(gates, { gate_board_gate($0, $1) }, { gate_board_place_of_gate($0) }), allGates: gate_board_place_of_all(),
            states: field(\.state), queries: field(\.queries), held: field(\.held))
    }

    /// Nil when for half a second there was no whole state to read: the process that publishes it died, or was stopped, half-way.
    package func progress(of device: String) throws(Failure) -> DeviceProgress? {
        let index = gate_board_device(board, device)
        guard index >= 0 else {
            throw Failure(
                description:
                    "device '\(device)': expected a name of 1 to \(BOARD_NAME_SIZE - 1) bytes and at most \(BOARD_MAX_DEVICES) devices a side"
            )
        }
        var now = board_progress()
        guard gate_board_progress(board, index, &now) == 0 else { return nil }
        return DeviceProgress(
            state: now.state, queries: now.queries, drainedQueries: now.drained_queries, drains: now.drains,
            bytesRead: now.bytes_read, bytesWritten: now.bytes_written, calls: now.calls, held: now.held, holds: now.holds)
    }

    /// A number that changes whenever anything on the board does.
    package var changes: UInt32 { gate_board_changes(board) }

    /// Blocks the calling thread until the board has changed since `seen`, or `nanoseconds` have passed.
    package func waitForChange(since seen: UInt32, nanoseconds: UInt64) { _ = gate_board_wait_change(board, seen, nanoseconds) }
}
