import MigrationTrace
import Testing

@testable import Verification

/// The canonical form of real migrations: equal to itself, and changed in each way, different at the place that was changed.
@Suite struct ProtocolOrderTests {
    static let perDevice = ["vfio-new-1", "vfio-new-2", "lm-reinit-q23", "cell reinit-gate", "cell two-devices", "cell libvirt"]
    static let legacy = ["x-vfio-10to11-1", "x-vfio-11to10-2", "x-vfio-10to10-2", "cell legacy-10.0-11.1"]
    static let all = perDevice + legacy
    static let others = [
        "cell multifd", "cell postcopy", "cell postcopy-recovered", "cell colo", "cell source-killed", "cell guest-reset", "cell underflow",
        "none-pause-cancel", "none-postcopy-recover", "lm-final-2dev",
    ]

    private func expect(
        _ name: String, _ altered: Recording, differsAt line: Int, of stream: StreamName, _ event: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let differences = try altered.sequence().differences(from: Recording.named(name).sequence())
        let orders = differences.compactMap { if case .order(let order) = $0 { order } else { nil } }
        #expect(!orders.isEmpty, "nothing differs", sourceLocation: sourceLocation)
        #expect(
            orders.contains { order in
                (order.expected + order.found).contains {
                    // Of several that say the same, one after the other, none can be told from the next.
                    $0.event == event && $0.place.stream == stream
                        && (abs($0.place.line - line) <= 1 || event == "source_return_path_thread_switchover_acked")
                }
            }, "\(differences.map(\.summary))", sourceLocation: sourceLocation)
    }

    @Test(arguments: all + others) func isEqualToItself(name: String) throws {
        let sequence = try Recording.named(name).sequence()
        #expect(try Recording.named(name).sequence().differences(from: sequence) == [])
        #expect(sequence.threads.values.map(\.count).reduce(0, +) > 20)
    }

    /// Feeding one stream after the other, or in turns, gives the same result.
    @Test(arguments: all) func doesNotDependOnHowStreamsAreInterleaved(name: String) throws {
        let recording = try Recording.named(name)
        #expect(try recording.sequence(inTurns: true).differences(from: recording.sequence()) == [])
    }

    @Test(arguments: all) func anEventIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        let events = [
            (StreamName.source, "migration_thread_low_pending"), (.source, "savevm_send_open_return_path"), (.source, "savevm_state_setup"),
            (.source, "source_return_path_thread_switchover_acked"), (.source, "vfio_save_complete_precopy_start"),
            (.destination, "loadvm_approve_switchover"), (.destination, "migrate_send_rp_message 7"), (.destination, "loadvm_state_setup"),
        ]
        for (stream, text) in events {
            for line in try recording.some(stream, text) {
                let event = recording.lines[stream]![line - 1].event
                try expect(name, recording.removing(stream, line), differsAt: line, of: stream, event)
            }
        }
    }

    @Test(arguments: perDevice) func aRequestOrAMarkerIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        // Only a device that re-initialised has a line of its own for a request.
        let reinits = recording.numbers(.source, "vfio_query_precopy_size_request_switchover_ack")
        let hasReinit = recording.lines[.source]!.contains { $0.contains("vfio_query_precopy_size ") && $0.contains("reinit 1") }
        #expect(reinits.isEmpty == !hasReinit)
        let requests = try recording.some(.source, "request switchover ack 1")
        for lines in [requests, try recording.some(.source, "vfio_send_init_data_flag"), reinits] {
            for line in lines {
                let event = recording.lines[.source]![line - 1].event
                try expect(name, recording.removing(.source, line), differsAt: line, of: .source, event)
            }
        }
    }

    @Test(arguments: all) func twoStatusesAreSwapped(name: String) throws {
        let recording = try Recording.named(name)
        for stream in [StreamName.source, .destination] {
            let lines = recording.numbers(stream, "migrate_set_state new state")
            for (first, second) in zip(lines, lines.dropFirst()) {
                var altered = recording
                altered.lines[stream]!.swapAt(first - 1, second - 1)
                // Where the first is 'setup', the migration begins later; that differs, too.
                let differences = try altered.sequence().differences(from: recording.sequence())
                #expect(!differences.isEmpty, "\(stream) \(first) and \(second)")
                let isNamed = differences.contains { $0.subjects.contains("migrate_set_state") }
                #expect(isNamed || recording.lines[stream]![first - 1].contains("setup"))
            }
        }
    }

    @Test(arguments: all) func theDecisionIsMoved(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let stopped = try #require(recording.number(.source, "migration_completion_vm_stop"))
        let altered = recording.moving(.source, decision, before: stopped + 1)
        try expect(name, altered, differsAt: stopped, of: .source, "migration_thread_low_pending")
    }

    /// An approval and its ACK before the data they are for.
    @Test(arguments: all) func anAckIsSentBeforeItsMarkerIsLoaded(name: String) throws {
        let recording = try Recording.named(name)
        for ack in try recording.some(.destination, "migrate_send_rp_message 7") {
            let marker = try #require(recording.numbers(.destination, "ef100005").last { $0 < ack })
            try expect(
                name, recording.moving(.destination, ack, before: marker), differsAt: marker, of: .destination, "migrate_send_rp_message")
        }
    }

    @Test(arguments: ["vfio-new-2", "cell two-devices", "cell libvirt"]) func theMarkerIsOfAnotherDevice(name: String) throws {
        let recording = try Recording.named(name)
        for (stream, text) in [(StreamName.source, "vfio_send_init_data_flag"), (.destination, "ef100005")] {
            let lines = recording.numbers(stream, text)
            let names = Set(lines.map { recording.lines[stream]![$0 - 1].device })
            try #require(names.count == 2)
            for line in lines {
                let device = recording.lines[stream]![line - 1].device
                let other = try #require(names.first { $0 != device })
                let event = recording.lines[stream]![line - 1].event
                try expect(name, recording.replacing(stream, line, "(\(device))", "(\(other))"), differsAt: line, of: stream, event)
            }
        }
    }

    @Test(arguments: all.filter { $0.hasPrefix("cell ") }) func aDeviceIsSetToAnotherState(name: String) throws {
        let recording = try Recording.named(name)
        for stream in [StreamName.sourceDevices, .destinationDevices] {
            let line = try #require(recording.number(stream, "to STOP_COPY") ?? recording.number(stream, "to RESUMING"))
            let state = recording.lines[stream]![line - 1].contains("STOP_COPY") ? "STOP_COPY" : "RESUMING"
            let altered = recording.replacing(stream, line, "to \(state)", "to ERROR")
            #expect(try altered.sequence().differences(from: recording.sequence()).contains { $0.subjects.contains("device_call") })
        }
    }

    // MARK: What must not differ

    /// Further rounds in which nothing is collected, and an ACK that comes a round later or earlier.
    @Test(arguments: all) func roundsAreNotCounted(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let rounds = recording.numbers(.source, "savevm_state_iterate").filter { $0 < decision }
        let last = try #require(rounds.last)
        var altered = recording
        // What the return path thread says in between is no part of the round.
        let round = altered.lines[.source]![(last - 1)..<(decision - 1)].filter { !$0.contains("source_return_path") }
        altered.lines[.source]!.insert(contentsOf: round, at: decision - 1)
        #expect(try altered.sequence().differences(from: recording.sequence()) == [])
        for ack in try recording.some(.source, "switchover_acked") {
            guard let round = rounds.last(where: { $0 < ack }) else { continue }
            // The order of its own thread stays.
            if recording.lines[.source]![(round - 1)..<(ack - 1)].contains(where: { $0.contains("source_return_path") }) { continue }
            #expect(try recording.moving(.source, ack, before: round).sequence().differences(from: recording.sequence()) == [])
        }
    }

    @Test func namesOfDevicesDoNotMatter() throws {
        let recording = try Recording.named("vfio-new-2")
        var altered = recording
        let old = Set(recording.numbers(.source, "vfio_save_setup").map { recording.lines[.source]![$0 - 1].device })
        for (index, name) in old.sorted().enumerated() {
            altered.lines[.source] = altered.lines[.source]!.map { $0.replacing("(\(name))", with: "(VFIO_FD\(100 + index))") }
        }
        #expect(altered.lines[.source] != recording.lines[.source])
        #expect(try altered.sequence().differences(from: recording.sequence()) == [])
    }

    /// The thread that a line is given by event and context is the one that printed it: 10.0 says which.
    @Test func threadsAreThoseThatPrinted() throws {
        let trace = try Recording.trace("legacy-10.0-11.1")
        var threads: [Int: UInt32] = [:]
        for (index, entry) in trace.source.enumerated() { if case .id(let id) = entry.thread { threads[index + 1] = id } }
        try #require(!threads.isEmpty)
        for (thread, steps) in ProtocolSequence(trace).ordered where thread.isSource {
            switch thread.role {
            case .migration, .returnPath, .main:
                let printed = Set(steps.compactMap { threads[$0.place.line] })
                #expect(printed.count == 1, "\(thread): \(printed)")
            default: break
            }
        }
    }

    // MARK: Differences

    @Test func aDifferenceTellsWhatCameBefore() throws {
        let recording = try Recording.named("vfio-new-1")
        let line = try #require(recording.number(.source, "savevm_send_switchover_start"))
        let found = try recording.removing(.source, line).sequence().differences(from: recording.sequence())
        guard found.count == 1, case .order(let order) = found[0] else { return #expect(Bool(false), "\(found.map(\.summary))") }
        #expect(order.thread.description == "source, migration thread")
        #expect(order.before.count == 3)
        #expect(order.expected.map(\.event) == ["savevm_send_switchover_start"])
        #expect(order.found.isEmpty)
        #expect(found[0].summary.hasSuffix("expected 'savevm_send_switchover_start', found nothing"))
        #expect(found[0].lines(whole: true).count == 6)
    }

    @Test func verdictsCountsAndRulesAreCompared() throws {
        let right = try Recording.named("vfio-new-2").judgement()
        #expect(right.differences(from: right).isEmpty)
        var wrong = right
        wrong.verdict = .failed
        wrong.handshake.acksCounted += 1
        wrong.handshake.requests["0000:00:01.0/vfio"] = 7
        #expect(Set(wrong.differences(from: right).flatMap(\.subjects)) == ["ending", "acks-counted", "requests"])
    }

    @Test func aThreadIsBounded() {
        var order = ProtocolOrder()
        order.handle(.migrateSetState(.setup), at: Place(stream: .source, line: 1))
        for line in 2..<(3 * ProtocolSequence.mostSteps) {
            order.handle(.sourceReturnPathThreadSwitchoverAcked(pending: 0), at: Place(stream: .source, line: line))
        }
        #expect(order.sequence().threads.values.map(\.count).max() == ProtocolSequence.mostSteps)
    }
}

extension Difference {
    /// `ending`, the name of a count, ids of rules, names of events.
    fileprivate var subjects: Set<String> {
        switch self {
        case .ending: ["ending"]
        case .count(let what, _, _): [what]
        case .rules(let expected, let found): Set(expected + found)
        case .order(let order): Set((order.expected + order.found).map(\.event))
        case .extent: ["extent"]
        }
    }
}

extension String {
    /// The name of a line's event; logs of 10.0 have thread and time before it.
    fileprivate var event: String {
        var reader = LogReader(Array((self + "\n").utf8))
        return (try? reader.nextEvent())?.event?.name ?? ""
    }

    /// What stands in the first parentheses.
    fileprivate var device: String {
        String(split(separator: "(", maxSplits: 1).last?.split(separator: ")").first ?? "")
    }
}

extension Recording {
    fileprivate func sequence(inTurns: Bool = false) throws -> ProtocolSequence {
        var order = ProtocolOrder(sourceIdstrs: circumstances.sourceIdstrs, destinationIdstrs: circumstances.destinationIdstrs)
        var events: [StreamName: [(Event, Place)]] = [:]
        for (stream, lines) in lines {
            var reader = LogReader(Array((lines.joined(separator: "\n") + "\n").utf8))
            while let line = try reader.nextEvent() {
                if let event = line.event { events[stream, default: []].append((event, Place(stream: stream, line: line.position.line))) }
            }
        }
        guard inTurns else {
            for stream in StreamName.allCases { for (event, place) in events[stream] ?? [] { order.handle(event, at: place) } }
            return order.sequence()
        }
        for index in 0..<(events.values.map(\.count).max() ?? 0) {
            for stream in StreamName.allCases.reversed() {
                guard let events = events[stream], index < events.count else { continue }
                order.handle(events[index].0, at: events[index].1)
            }
        }
        return order.sequence()
    }
}
