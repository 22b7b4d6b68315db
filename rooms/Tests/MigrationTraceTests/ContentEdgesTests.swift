import Testing

@testable import MigrationTrace

@Suite struct ContentEdgesTests {
    /// The edges of each kind, as the ordinals they connect.
    static func edges(_ run: String) throws -> [ContentEdge.Kind: [(Event, Event)]] {
        var source = LogReader(try LogFiles.log("qemu/\(run).src.log"))
        var destination = LogReader(try LogFiles.log("qemu/\(run).dst.log"))
        let trace = try Trace(header: TraceHeader(), source: FoldedStream(&source), destination: FoldedStream(&destination))
        func event(_ place: EntryReference) throws -> Event {
            try #require(trace[place.stream].dropFirst(place.ordinal - 1).first { _ in true }?.event)
        }
        var events: [ContentEdge.Kind: [(Event, Event)]] = [:]
        for edge in trace.edges { events[edge.kind, default: []].append((try event(edge.from), try event(edge.to))) }
        return events
    }

    /// How many edges of each kind (marker, approval, ack, counted, ping, pong) a run must have.
    @Test(arguments: [
        ("lm-reinit-q23", [3, 3, 3, 3, 1, 1]), ("vfio-new-2", [2, 2, 2, 2, 1, 1]), ("lm-final-2dev", [2, 2, 2, 2, 1, 1]),
        ("vfio-new-paused", [0, 0, 0, 0, 1, 1]), ("vfio-noack", [0, 0, 0, 0, 1, 1]), ("lm-final-legacy", [1, 1, 1, 1, 1, 1]),
        // One ACK for two devices; the second approval is its cause.
        ("vfio-srcnew-dstlegacy-2", [2, 2, 1, 1, 1, 1]),
        // No user: the legacy destination's ACK has no marker and no approval.
        ("none-legacy-both", [0, 0, 0, 1, 1, 1]),
        // 10.0 does not print the marker it writes.
        ("x-vfio-10to10-2", [0, 2, 1, 1, 1, 1]),
        ("x-vfio-10to11-dstnew-1", [0, 1, 1, 1, 1, 1]),
        ("none-postcopy", [0, 0, 0, 0, 5, 5]),
    ])
    func edgesOfRealRuns(run: String, counts: [Int]) throws {
        let edges = try Self.edges(run)
        #expect(ContentEdge.Kind.allCases.map { edges[$0]?.count ?? 0 } == counts)
    }

    @Test func edgesConnectWhatTheySay() throws {
        let pairs = [("vfio-new-2", 2), ("lm-final-2dev", 2)]
        for (run, devices) in pairs {
            let edges = try Self.edges(run)
            var names: [String: Set<String>] = [:]
            for case (.vfioSendInitDataFlag(let from), .vfioLoadState(let to, .initDataSent)) in edges[.marker] ?? [] {
                names[from, default: []].insert(to)
            }
            #expect(names.count == devices)
            #expect(names.values.allSatisfy { $0.count == 1 })
            #expect(Set(names.values).count == devices)
            for case (.savevmSendPing(let sent), .loadvmProcessCommandPing(let read)) in edges[.ping] ?? [] { #expect(sent == read) }
            for case (.loadvmProcessCommandPing(let read), .sourceReturnPathThreadPong(let pong)) in edges[.pong] ?? [] {
                #expect(read == pong)
            }
        }
    }

    static func source(_ events: Event...) -> [Entry] { events.map { Entry($0) } }

    /// Names say nothing across the sides; the sections do, also when the devices come in another order.
    @Test func devicesArePairedBySection() {
        let source = Self.source(
            .savevmSectionStart(idstr: "x/vfio", section: 1), .vfioSendInitDataFlag(device: "a"),
            .savevmSectionEnd(idstr: "x/vfio", section: 1, result: 0),
            .savevmSectionStart(idstr: "y/vfio", section: 2), .vfioSendInitDataFlag(device: "b"),
            .savevmSectionEnd(idstr: "y/vfio", section: 2, result: 0))
        let destination = Self.source(
            .qemuLoadvmStateSectionStartFull(section: 2, idstr: "y/vfio", instance: 0, version: 1), .vfioLoadState(device: "a", .setup),
            .qemuLoadvmStateSectionStartFull(section: 1, idstr: "x/vfio", instance: 0, version: 1), .vfioLoadState(device: "b", .setup),
            .qemuLoadvmStateSectionPartEnd(section: 1), .vfioLoadState(device: "b", .initDataSent),
            .qemuLoadvmStateSectionPartEnd(section: 2), .vfioLoadState(device: "a", .initDataSent))
        #expect(
            contentEdges(source: source, destination: destination) == [
                ContentEdge(.marker, from: EntryReference(.source, 2), to: EntryReference(.destination, 6)),
                ContentEdge(.marker, from: EntryReference(.source, 5), to: EntryReference(.destination, 8)),
            ])
    }

    @Test func withoutSectionsTheOrderPairs() {
        let source = Self.source(
            .vfioSaveSetup(device: "a", dataBufferSize: 1), .vfioSaveSetup(device: "b", dataBufferSize: 1),
            .vfioSendInitDataFlag(device: "b"))
        let destination = Self.source(
            .vfioLoadState(device: "c", .setup), .vfioLoadState(device: "d", .setup), .vfioLoadState(device: "d", .initDataSent))
        #expect(
            contentEdges(source: source, destination: destination) == [
                ContentEdge(.marker, from: EntryReference(.source, 3), to: EntryReference(.destination, 3))
            ])
    }

    @Test func theLastMigrationOfALogCounts() {
        let acked = Event.sourceReturnPathThreadSwitchoverAcked(pending: 0)
        let source = Self.source(.migrateSetState(.setup), acked, .migrateSetState(.cancelled), .migrateSetState(.setup), acked)
        let destination = Self.source(.migrateSetState(.setup), .migrateSendRPMessage(.switchoverAck, length: 0))
        #expect(
            contentEdges(source: source, destination: destination) == [
                ContentEdge(.counted, from: EntryReference(.destination, 2), to: EntryReference(.source, 5))
            ])
    }

    /// A surplus on one side has no edge: what was never received was not the cause of anything.
    @Test func surplusHasNoEdge() {
        let ack = Event.migrateSendRPMessage(.switchoverAck, length: 0)
        let edges = contentEdges(
            source: Self.source(.savevmSendPing(1), .savevmSendPing(1)), destination: Self.source(ack, .loadvmProcessCommandPing(1)))
        #expect(edges == [ContentEdge(.ping, from: EntryReference(.source, 1), to: EntryReference(.destination, 2))])
    }
}
