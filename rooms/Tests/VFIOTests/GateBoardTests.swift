import CVFIOMock
import Foundation
import Testing
import VFIO

@Suite struct GateBoardTests {
    private let path = FileManager.default.temporaryDirectory.path + "/ackmatrix-board-\(UUID().uuidString)"

    @Test func aGateOpenedHereIsOpenForTheOtherSide() throws {
        let board = try GateBoard(path: path)
        defer { unlink(path) }
        let other = try #require(gate_board_map(path))
        defer { gate_board_unmap(other) }
        let gate = gate_board_gate(other, "load")
        #expect(gate_board_is_open(other, gate) == 0)
        try board.open("load")
        #expect(gate_board_is_open(other, gate) == 1)
        let later = gate_board_gate(other, "later")
        #expect(gate_board_is_open(other, later) == 0)
        board.openAll()
        #expect(gate_board_is_open(other, later) == 1)
    }

    /// As a shell does it, in the file.
    @Test func placesAreThoseOfTheFile() throws {
        let board = try GateBoard(path: path)
        defer { unlink(path) }
        let other = try #require(gate_board_map(path))
        defer { gate_board_unmap(other) }
        let places = try board.places(gates: ["load", "send"], devices: ["v0", "v1"])
        let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        var progress = board_progress()
        (progress.queries, progress.held) = (7, 1)
        gate_board_publish(other, gate_board_device(other, "v1"), &progress)
        for (place, expected) in [(places.queries["v1"], 7), (places.held["v1"], 1), (places.queries["v0"], 0)] {
            try file.seek(toOffset: UInt64(try #require(place)))
            #expect(file.readData(ofLength: 8) == withUnsafeBytes(of: UInt64(expected)) { Data($0) })
        }
        func write(_ place: Int) throws {
            try file.seek(toOffset: UInt64(place))
            try file.write(contentsOf: withUnsafeBytes(of: UInt32(1)) { Data($0) })
        }
        try write(try #require(places.gates["send"]))
        #expect(gate_board_is_open(other, gate_board_gate(other, "send")) == 1)
        #expect(gate_board_is_open(other, gate_board_gate(other, "load")) == 0)
        try write(places.allGates)
        #expect(gate_board_is_open(other, gate_board_gate(other, "load")) == 1)
    }

    /// One thread publishes, another reads, as the shim and the runner do; the reader must see states in between, each of them whole.
    @Test func progressPublishedThereIsSeenHereWholeAndInOrder() throws {
        let board = try GateBoard(path: path)
        defer { unlink(path) }
        // The shim's end; its functions may be called from any thread.
        nonisolated(unsafe) let other = try #require(gate_board_map(path))
        defer { gate_board_unmap(other) }
        let device = gate_board_device(other, "v0")
        let rounds: UInt64 = 200_000
        let done = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            for round in 1...rounds {
                var progress = board_progress()
                progress.queries = round
                progress.bytes_read = round * 3
                gate_board_publish(other, device, &progress)
            }
            done.signal()
        }
        var last: UInt64 = 0
        var between: Set<UInt64> = []
        while last < rounds {
            let seen = board.changes
            guard let progress = try board.progress(of: "v0") else { continue }
            #expect(progress.queries >= last)
            #expect(progress.bytesRead == progress.queries * 3)
            last = progress.queries
            if last > 0 && last < rounds { between.insert(last) }
            if last < rounds { board.waitForChange(since: seen, nanoseconds: 100_000_000) }
        }
        done.wait()
        #expect(!between.isEmpty)
    }

    @Test func namesAndFilesAreChecked() throws {
        let board = try GateBoard(path: path)
        defer { unlink(path) }
        #expect(throws: GateBoard.Failure.self) { try board.open("") }
        #expect(throws: GateBoard.Failure.self) { try board.open(String(repeating: "x", count: 48)) }
        #expect(throws: GateBoard.Failure.self) { _ = try GateBoard(path: path) }
        #expect(throws: GateBoard.Failure.self) { _ = try GateBoard(path: "/nowhere/board") }
    }
}
