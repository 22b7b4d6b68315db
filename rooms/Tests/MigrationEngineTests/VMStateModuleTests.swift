import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import Testing

@testable import MigrationEngine

@Suite struct VMStateModuleTests {
    /// 24 bytes: ticks, 8 unused, clock.
    @Test func timerHasItsLayout() throws {
        let (source, loaded, bench) = (TimerState(), TimerState(), Bench())
        (source.ticksOffset, source.clockOffset) = (-2, 0x0102_0304_0506_0708)
        let payload = try bench.save(source)
        let expected = [UInt8](repeating: 0xFF, count: 7) + [0xFE] + [UInt8](repeating: 0, count: 8) + [1, 2, 3, 4, 5, 6, 7, 8]
        #expect(payload == [.fields(expected)])
        try bench.load(payload, into: loaded)
        #expect(loaded.ticksOffset == source.ticksOffset && loaded.clockOffset == source.clockOffset)
        #expect(source.version == 2 && source.hasState && !source.isIterable)
    }

    /// Who starts its guest: only a state that was live, and not with -S.
    @Test(arguments: [
        (RunState.running, true), (.suspended, true), (.paused, false), (.prelaunch, false), (.shutdown, false), (.ioError, false),
    ]) func globalStateTellsWhetherTheGuestStarts(state: RunState, starts: Bool) throws {
        let (source, loaded, bench) = (GlobalState(), GlobalState(), Bench())
        try bench.startLoad(loaded)
        #expect(loaded.target == .running, "without the section")
        source.store(state)
        let payload = try bench.save(source)
        try bench.load(payload, into: loaded)
        #expect(loaded.received == state && loaded.target == state)
        #expect(loaded.startsGuest(startsPaused: false) == starts && !loaded.startsGuest(startsPaused: true))
        #expect(loaded.wasSuspended == (state == .suspended))
        #expect(bench.log.events == [.migrateGlobalStatePreSave(state.rawValue), .migrateGlobalStatePostLoad(state.rawValue)])
        try bench.startLoad(loaded)
        #expect(loaded.received == nil)
    }

    @Test func globalStateHasItsLayout() throws {
        let (source, bench) = (GlobalState(), Bench())
        source.store(.paused)
        var expected = [UInt8](repeating: 0, count: 104)
        expected.replaceSubrange(0..<10, with: [0, 0, 0, 7] + Array("paused".utf8))
        expected[36] = 1
        try #expect(bench.save(source) == [.fields(expected)])
    }

    @Test func anyDeviceMovesItsBytes() throws {
        let (source, loaded) = (
            VMState(idstr: "i8259", instance: 1, version: 3, fields: [1, 2, 3]), VMState(idstr: "i8259", fields: [0, 0, 0])
        )
        let bench = Bench()
        try bench.load(try bench.save(source), into: loaded)
        #expect(loaded.fields == [1, 2, 3] && source.instance == 1 && source.version == 3)
    }

    @Test(arguments: [SectionRecord.fields([1]), .fields([UInt8](repeating: 65, count: 105)), .note(1), .end])
    func malformedFieldsAreRefused(record: SectionRecord) throws {
        let bench = Bench()
        for module in [TimerState(), GlobalState(), VMState(idstr: "x", fields: [0, 0])] as [any SaveVMHandlers] {
            #expect(throws: ModuleError.self) { try bench.load([record], into: module) }
        }
    }

    @Test func anUnknownRunStateIsRefused() throws {
        let bench = Bench()
        let fields = [0, 0, 0, 5] + Array("gone".utf8) + [UInt8](repeating: 0, count: 96)
        #expect(throws: ModuleError("invalid parameter value: gone", result: -22)) {
            try bench.load([.fields(fields)], into: GlobalState())
        }
    }
}
