import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import Testing

@testable import MigrationEngine

private let ack: Set<Capability> = [.returnPath, .switchoverAck]

@Suite struct RequesterModuleTests {
    /// Each ACK is asked for in the query that the script names and answered by a marker of its own in the next PART; several may be outstanding.
    @Test(arguments: [
        (RequesterScript(), [0, 0, 0, 0] as [UInt32], [0, 0, 0, 0]),
        (RequesterScript([.init(query: 1)]), [1, 0, 0, 0], [1, 0, 0, 0]),
        (RequesterScript([.init(query: 1, count: 3), .init(query: 3, count: 2)]), [3, 0, 2, 0], [3, 0, 2, 0]),
        (RequesterScript([.init(query: 2), .init(query: 2, count: 2)]), [0, 3, 0, 0], [0, 3, 0, 0]),
        (RequesterScript([.init(query: 1), .init(query: 2)], markerDelay: 2), [1, 1, 0, 0], [0, 0, 1, 1]),
    ]) func asksAtItsQueries(script: RequesterScript, requests: [UInt32], markers: [Int]) throws {
        let module = Requester(idstr: "requester", script)
        let bench = Bench(modules: [module])
        for attempt in 1...2 {
            _ = try bench.setUp(module)
            for step in 0..<4 {
                try #expect(bench.query(module, exact: step % 2 == 1).requests == requests[step], "attempt \(attempt)")
                try #expect(bench.iterate(module).payload.count - 1 == markers[step], "attempt \(attempt)")
            }
            #expect(module.requested == UInt64(requests.reduce(0, +)) && module.markersSent == UInt64(markers.reduce(0, +)))
            try #expect(bench.complete(module) == [.end])
            _ = try bench.call { call throws(ModuleError) in module.saveCleanup(&call) }
        }
    }

    /// Another ACK is asked for in the first exact query that finds the gate open, once in a migration.
    @Test func asksAgainWhenTheGateIsOpen() throws {
        var script = RequesterScript([.init(query: 1)])
        script.whenOpen = ("again", 2)
        let module = Requester(idstr: "requester", script)
        let bench = Bench(modules: [module])
        for attempt in 1...2 {
            _ = try bench.setUp(module)
            try #expect(bench.query(module).requests == 1, "attempt \(attempt)")
            // The gate stays open for another attempt.
            try #expect(bench.query(module, exact: true).requests == (attempt == 1 ? 0 : 2))
            bench.host.open("again")
            try #expect(bench.query(module).requests == 0, "attempt \(attempt): an estimate asks nobody")
            try #expect(bench.query(module, exact: true, final: true).requests == 0)
            try #expect(bench.query(module, exact: true).requests == (attempt == 1 ? 2 : 0))
            try #expect(bench.query(module, exact: true).requests == 0)
            _ = try bench.call { call throws(ModuleError) in module.saveCleanup(&call) }
        }
    }

    /// What the final query collects fails the migration; the ledger is told of no VFIO device.
    @Test(arguments: [0, 1, 3] as [UInt32]) func theFinalQueryCollects(count: UInt32) throws {
        let module = Requester(idstr: "requester", RequesterScript([.init(query: 1)], inFinalQuery: count))
        let bench = Bench(modules: [module])
        var ledger = SourceLedger(.likeElevenOne, mode: .perDevice, capability: true)
        _ = try bench.setUp(module)
        try ledger.collect(bench.query(module).requests)
        #expect(!ledger.maySwitchOver(guestRuns: true))
        try ledger.acknowledge()
        #expect(ledger.maySwitchOver(guestRuns: true))
        let collected = try bench.query(module, exact: true, final: true).requests
        #expect(collected == count)
        if count > 0 {
            #expect(throws: ProtocolError("Switchover ACK was requested by \(count) devices during switchover")) {
                try ledger.checkFinal(collected: collected)
            }
        } else {
            try ledger.checkFinal(collected: collected)
        }
    }

    /// Legacy mode, also by age: nothing is asked for, and there is one marker. Capability off: neither.
    @Test(arguments: [
        (Generation.likeElevenOne, AckMode.legacy, true, 1), (.likeTenZero, .legacy, true, 1), (.likeElevenOne, .legacy, false, 0),
        (.likeElevenOne, .perDevice, false, 0),
    ]) func withoutCountingThereIsOneMarkerAtMost(generation: Generation, mode: AckMode, capability: Bool, markers: Int) throws {
        let module = Requester(idstr: "requester", RequesterScript([.init(query: 1, count: 2)], inFinalQuery: 1))
        let bench = Bench(generation, mode: mode, capability ? ack : [.returnPath], modules: [module])
        _ = try bench.setUp(module)
        var sent = 0
        for _ in 0..<3 {
            try #expect(bench.query(module).requests == 0)
            sent += try bench.iterate(module).payload.count - 1
        }
        try #expect(bench.query(module, exact: true, final: true).requests == 0)
        #expect(sent == markers)
    }

    /// Where the core tells the destination, a requester has no marker of its own.
    @Test func markersMayBeLeftToTheCore() throws {
        let module = Requester(idstr: "requester", RequesterScript([.init(query: 1, count: 2)]), sendsMarkers: false)
        let bench = Bench(.withRequestMessage, modules: [module])
        _ = try bench.setUp(module)
        try #expect(bench.query(module).requests == 2)
        try #expect(bench.iterate(module).payload == [.end])
    }

    /// The destination approves by the name, or by the idstr where there is none, and answers each marker with an ACK.
    @Test(arguments: [("b0", "b0"), (nil, "requester")] as [(String?, String)]) func approvesByNameOrIdstr(name: String?, approver: String)
        throws
    {
        let module = Requester(idstr: "requester", name: name)
        let bench = Bench(modules: [module])
        var acks = 0
        bench.host.sendReturnPath = { message in
            acks += message == .switchoverAck ? 1 : 0
            return true
        }
        try bench.startLoad(module)
        try bench.load([.end, .note(1), .note(2), .end], into: module)
        #expect(acks == 2)
        #expect(bench.log.events == [.loadvmApproveSwitchover(approver: approver), .loadvmApproveSwitchover(approver: approver)])
    }

    /// Two requesters in legacy mode: each counts itself in, and the second marker causes the one ACK; a third is refused.
    @Test func countsItselfInInLegacyMode() throws {
        let modules = [Requester(idstr: "r0"), Requester(idstr: "r1", name: "named")]
        let bench = Bench(mode: .legacy, modules: modules)
        var acks = 0
        bench.host.sendReturnPath = { _ in
            acks += 1
            return true
        }
        for module in modules { try bench.startLoad(module) }
        #expect(modules.allSatisfy { $0.switchoverAckNeeded })
        for (module, expected) in zip(modules, [0, 1]) {
            try bench.load([.note(1)], into: module)
            #expect(acks == expected)
        }
        #expect(
            bench.log.events == [
                .migrationRequestSwitchoverAckLegacy(requester: "r0", pending: 1),
                .migrationRequestSwitchoverAckLegacy(requester: "named", pending: 2),
                .loadvmApproveSwitchoverLegacy(approver: "r0", pending: 1), .loadvmApproveSwitchoverLegacy(approver: "named", pending: 0),
            ])
        #expect(throws: ModuleError("named: qemu_loadvm_approve_switchover failed, err=-22 (Invalid argument)", result: -22)) {
            try bench.load([.note(2)], into: modules[1])
        }
    }

    @Test(arguments: [(false, SectionRecord.note(1)), (true, .attributesDone)]) func whatItCannotUseIsRefused(
        capability: Bool, record: SectionRecord
    ) throws {
        let module = Requester(idstr: "requester")
        let bench = Bench(.likeElevenOne, capability ? ack : [.returnPath], modules: [module])
        try bench.startLoad(module)
        #expect(throws: ModuleError.self) { try bench.load([record], into: module) }
    }
}
