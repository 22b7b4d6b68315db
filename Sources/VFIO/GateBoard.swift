/// The gate board of a side, for its runner: opens gates and shows each device's progress.
///
/// The other end is the shim inside QEMU; what is shared is documented in `harness/vfio/include/gate_board.h`.
import CVFIOMock
import Glibc

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

    /// Opens a gate, which stays open.
    package func open(_ gate: String) throws(Failure) {
        let index = gate_board_gate(board, gate)
        guard index >= 0 else {
            throw Failure(
                description:
                    "gate '\(gate)': expected a name of 1 to \(BOARD_NAME_SIZE - 1) bytes and at most \(BOARD_MAX_GATES) gates a side")
        }
        gate_board_open(board, index)
    }

    /// Opens every gate, also those that are named later: no gate may hold a call while a side is torn down.
    package func openAll() { gate_board_open_all(board) }

    /// The places in the board's file that a shell reads and writes, in bytes from its start.
    package struct Places: Hashable, Sendable {
        /// The 32 bits that open a gate when they are 1.
        package let gates: [String: Int]
        /// The 32 bits that open all gates when they are 1.
        package let allGates: Int
        /// The 64 bits each of a device's state, its precopy queries, and the calls that are held right now.
        package let states: [String: Int]
        package let queries: [String: Int]
        package let held: [String: Int]
    }

    /// Gives gates and devices their places in the file, which they keep.
    package func places(gates: [String], devices: [String]) throws(Failure) -> Places {
        func place(_ names: [String], _ index: (OpaquePointer, String) -> Int32, _ place: (Int32) -> Int) throws(Failure) -> [String: Int] {
            var places: [String: Int] = [:]
            for name in names {
                let index = index(board, name)
                guard index >= 0 else {
                    throw Failure(
                        description:
                            "'\(name)': the board is full, or the name is longer than \(BOARD_NAME_SIZE - 1) bytes")
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

    /// A device's progress; nil if half a second brought no consistent state: the process that publishes it has died, or was stopped, while
    /// it wrote.
    package func progress(of device: String) throws(Failure) -> DeviceProgress? {
        let index = gate_board_device(board, device)
        guard index >= 0 else {
            throw Failure(
                description:
                    "device '\(device)': expected a name of 1 to \(BOARD_NAME_SIZE - 1) bytes "
                    + "and at most \(BOARD_MAX_DEVICES) devices a side"
            )
        }
        var now = board_progress()
        guard gate_board_progress(board, index, &now) == 0 else { return nil }
        return DeviceProgress(
            state: now.state, queries: now.queries, drainedQueries: now.drained_queries, drains: now.drains,
            bytesRead: now.bytes_read, bytesWritten: now.bytes_written, calls: now.calls, held: now.held, holds: now.holds)
    }

    /// A number that changes with every change of the board.
    package var changes: UInt32 { gate_board_changes(board) }

    /// Blocks the calling thread until the board has changed since `seen`, or `nanoseconds` have passed.
    package func waitForChange(since seen: UInt32, nanoseconds: UInt64) { _ = gate_board_wait_change(board, seen, nanoseconds) }
}
