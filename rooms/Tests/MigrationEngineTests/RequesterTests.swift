/// A user of switchover-ack that is no VFIO device, in whole migrations: what the ledger counts it counts for anybody.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol
import Testing
import VFIO

@testable import MigrationEngine

@Suite struct RequesterTests {
    private func plug(_ name: String, into host: Host, _ log: ModuleLog) throws {
        try host.plug(name, log, "on query 2 when=1 do reinit 4K")
    }

    struct Row: CustomTestStringConvertible {
        var name: String
        var script: RequesterScript
        var requests: Int
        var testDescription: String { name }
    }

    static let rows = [
        Row(name: "nothing", script: RequesterScript(), requests: 0),
        Row(name: "one", script: RequesterScript([.init(query: 1)]), requests: 1),
        Row(name: "seven at once", script: RequesterScript([.init(query: 1, count: 7)]), requests: 7),
        Row(
            name: "several outstanding",
            script: RequesterScript([.init(query: 1), .init(query: 2), .init(query: 3, count: 2)], markerDelay: 5),
            requests: 4),
        Row(name: "late in precopy", script: RequesterScript([.init(query: 1), .init(query: 9, count: 3)], markerDelay: 8), requests: 4),
    ]

    /// As many ACKs as were asked for, each from the module's section, and no decision before the last; also with the core's own message in
    /// place of markers, and with a VFIO device beside it, whose two requests are counted alike.
    @Test(arguments: rows, [Generation.v1, .v2, .v11_1, .requestMessage]) func itIsAnswered(row: Row, generation: Generation) throws {
        for (seed, hasDevice) in [(0 as UInt64, false), (7, false), (0, true), (7, true)] {
            let pair = EnginePair(generation, seed: seed) { _ in [Requester(idstr: "requester", row.script)] }
            if hasDevice {
                try plug("v0", into: pair.source, pair.sourceLog)
                try plug("v0", into: pair.destination, pair.destinationLog)
            }
            pair.migrate()
            let place = "\(row.name), \(generation.name), seed \(seed), device \(hasDevice)"
            #expect(pair.status == .completed && pair.incoming.status == .completed, "\(place)")
            #expect(pair.destination.guestRuns && !pair.source.guestRuns, "\(place)")
            #expect(pair.acks == row.requests + (hasDevice ? 2 : 0), "\(place)")
            #expect(pair.approvers.count { $0 == "requester" } == row.requests, "\(place)")
            #expect(pair.approvers.count { $0 == "v0" } == (hasDevice ? 2 : 0), "\(place)")
            #expect(pair.illegalArcs.isEmpty, "\(place)")
            let decision = try #require(
                pair.sourceLog.events.firstIndex { if case .migrationThreadLowPending = $0 { true } else { false } })
            let lastAck = pair.sourceLog.events.lastIndex { if case .sourceReturnPathThreadSwitchoverAcked = $0 { true } else { false } }
            if let lastAck { #expect(lastAck < decision, "\(place)") }
        }
    }

    /// By name where it has one, by its section where it has not.
    @Test(arguments: [("gpu", "gpu"), (String?.none, "requester")]) func itIsCalled(name: String?, approver: String) {
        let pair = EnginePair { _ in [Requester(idstr: "requester", name: name, RequesterScript([.init(query: 1)]))] }
        pair.migrate()
        #expect(pair.approvers == [approver])
    }

    /// A request in the final query fails the migration, at the end of precopy and at the start of postcopy, and the source runs on.
    @Test(arguments: [1, 3] as [UInt32], [Generation.v2, .v11_1, .requestMessage, .v11_1.corrected])
    func aRequestBehindTheDecisionFails(count: UInt32, generation: Generation) {
        for startsPostcopy in [false, true] {
            let capabilities: Set<Capability> =
                startsPostcopy ? [.returnPath, .switchoverAck, .postcopyRAM] : [.returnPath, .switchoverAck]
            let pair = EnginePair(generation, capabilities, memory: 2, filled: 64) { _ in
                [Requester(idstr: "requester", RequesterScript([.init(query: 1)], inFinalQuery: count))]
            }
            if startsPostcopy {
                pair.source.settings.maxBandwidth = 1 << 20
                pair.main.request(.migrate)
                pair.run { pair.status == .active }
                pair.main.request(.startPostcopy)
                pair.run()
                #expect(pair.sourceLog.events.contains(.postcopyStart))
            } else {
                pair.migrate()
            }
            #expect(pair.sourceStatuses == [.setup, .active, .device, .failing, .failed])
            #expect(pair.main.source?.error == "Switchover ACK was requested by \(count) devices during switchover")
            #expect(pair.source.guestRuns && !pair.destination.guestRuns)
            #expect(pair.incoming.status == .failed)
            #expect(!pair.sourceLog.events.contains(.savevmSendSwitchoverStart))
            #expect(pair.illegalArcs.isEmpty)
        }
    }

    /// v1 asks each module by itself, and names it where the counter would pass its range.
    @Test func anOverflowNamesTheRequester() {
        let pair = EnginePair(.v1) { _ in
            [Requester(idstr: "nic", RequesterScript([.init(query: 1, count: .max), .init(query: 2)], markerDelay: 1000))]
        }
        pair.migrate()
        #expect(pair.main.source?.error == "Switchover ack pending num overflowed by nic")
        #expect(pair.status == .failed && pair.source.guestRuns)
        let requests = pair.sourceLog.events.filter { if case .savevmRequestSwitchoverAck = $0 { true } else { false } }
        #expect(requests == [.savevmRequestSwitchoverAck(stage: "SETUP", requester: "nic", pending: .max)])
    }

    /// Legacy mode, by setting and by age: one marker, one ACK, whatever the script says.
    @Test(arguments: [Generation.v10_0, .v10_1, .v11_0, .v11_1, .requestMessage]) func legacyModeAnswersOnce(generation: Generation) {
        let pair = EnginePair(generation, mode: .legacy) { _ in
            [Requester(idstr: "requester", RequesterScript([.init(query: 1, count: 5)], inFinalQuery: 2, markerDelay: 3))]
        }
        pair.migrate()
        #expect(pair.status == .completed && pair.incoming.status == .completed)
        #expect(pair.acks == 1)
    }

    /// With the core's message no marker is in any section, and each message names its section and its count, behind the data.
    @Test func theCoreTellsTheDestination() throws {
        let pair = EnginePair(.requestMessage) { _ in
            [Requester(idstr: "requester", RequesterScript([.init(query: 1, count: 2), .init(query: 3)], markerDelay: 4))]
        }
        try plug("v0", into: pair.source, pair.sourceLog)
        try plug("v0", into: pair.destination, pair.destinationLog)
        pair.migrate()
        #expect(pair.status == .completed)
        let events = pair.destinationLog.events
        #expect(!events.contains(.vfioLoadState(device: "v0", .initDataSent)))
        #expect(pair.approvers.sorted() == ["requester", "requester", "requester", "v0", "v0"])
        // What the device was sent first is loaded when it is first approved.
        let approval = try #require(events.firstIndex(of: .loadvmApproveSwitchover(approver: "v0")))
        #expect(events[..<approval].contains { if case .deviceLoaded("v0", .initial, _, _) = $0 { true } else { false } })
    }

    /// A destination refuses a message about a section it does not know, of a module that takes no part, and of no requests.
    @Test(arguments: [(99 as UInt32, 1 as UInt32), (1, 1), (2, 0), (2, 1 << 20)]) func aWrongMessageFailsTheLoad(
        section: UInt32, count: UInt32
    ) {
        let pair = EnginePair(.requestMessage) { _ in [Requester(idstr: "requester", RequesterScript([.init(query: 1)], markerDelay: 1000))]
        }
        pair.migrate { pair.status == .active }
        pair.main.source?.migration?.command(.requestSwitchoverAck(section: section, count: count))
        pair.run()
        #expect(pair.incoming.status == .failed)
        #expect(pair.approvers.isEmpty)
        #expect(pair.source.guestRuns && !pair.destination.guestRuns)
    }
}
