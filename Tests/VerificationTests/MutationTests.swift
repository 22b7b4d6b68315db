import MigrationTrace
import Testing

@testable import Verification

/// Good migrations with one thing altered, by code, wherever it occurs: each must break the fitting rule, at the right line.
@Suite struct MutationTests {
    static let perDevice = [
        "vfio-new-1", "vfio-new-2", "vfio-multifd", "lm-reinit-q23", "cell reinit-gate", "cell two-devices", "cell multifd", "cell libvirt",
    ]
    static let legacy = ["x-vfio-10to11-1", "x-vfio-11to10-1", "x-vfio-11to10-2", "x-vfio-10to10-2", "cell legacy-10.0-11.1"]
    static let counting = perDevice + ["x-vfio-11to10-1", "x-vfio-11to10-2"]
    static let all = perDevice + legacy
    /// Those in whose log the line of an ACK is printed before the decision.
    static let decidesAfterAck = all.filter { $0 != "x-vfio-11to10-2" }

    private func expect(
        _ recording: Recording, breaks rule: Rule, at line: Int, of stream: StreamName, _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let judgement = try recording.judgement()
        #expect(
            judgement.breaks(rule, at: line, of: stream), "\(what): \(judgement.findings.map { ($0.rule.id, $0.places) })",
            sourceLocation: sourceLocation)
    }

    @Test(arguments: all) func unaltered(name: String) throws {
        let judgement = try Recording.named(name).judgement()
        #expect(judgement.verdict == .completed)
        #expect(judgement.findings == [])
    }

    // MARK: The destination

    @Test(arguments: all) func anApprovalIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "loadvm_approve_switchover") {
            let marker = try #require(recording.numbers(.destination, "ef100005").last { $0 < line })
            try expect(recording.removing(.destination, line), breaks: .markerApproved, at: marker, of: .destination, "approval at \(line)")
        }
    }

    @Test(arguments: all) func anApprovalIsDoubled(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "loadvm_approve_switchover") {
            try expect(
                recording.doubling(.destination, line), breaks: .approvalMarker, at: line + 1, of: .destination, "approval at \(line)")
        }
    }

    @Test(arguments: all) func aLoadedMarkerIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "ef100005") {
            try expect(recording.removing(.destination, line), breaks: .approvalMarker, at: line, of: .destination, "marker at \(line)")
        }
    }

    @Test(arguments: all) func aMarkerIsLoadedTwice(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "ef100005") {
            try expect(
                recording.doubling(.destination, line), breaks: .markerApproved, at: line, of: .destination, "marker at \(line)")
        }
    }

    @Test(arguments: all) func dataIsAnnouncedOnly(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "vfio_load_state_device_data").prefix(40) {
            let device = try #require(recording.lines[.destination]![line - 1].split(separator: "(").last?.split(separator: ")").first)
            let announced = try #require(
                recording.numbers(.destination, "(\(device)) data 0xffffffffef100004").last { $0 < line })
            try expect(
                recording.removing(.destination, line), breaks: .dataWritten, at: announced, of: .destination, "data at \(line)")
        }
    }

    @Test(arguments: all) func anACKIsNotSent(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "migrate_send_rp_message 7") {
            let approval = try #require(recording.numbers(.destination, "loadvm_approve_switchover").last { $0 < line })
            try expect(recording.removing(.destination, line), breaks: .ackPerApproval, at: approval, of: .destination, "ACK at \(line)")
        }
    }

    @Test(arguments: all) func anACKIsSentTwice(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "migrate_send_rp_message 7") {
            let rule: Rule = Self.perDevice.contains(name) ? .ackHasApproval : .legacyOneAck
            try expect(recording.doubling(.destination, line), breaks: rule, at: line + 1, of: .destination, "ACK at \(line)")
        }
    }

    @Test(arguments: all) func dataIsNotWritten(name: String) throws {
        let recording = try Recording.named(name)
        let approvals = recording.numbers(.destination, "loadvm_approve_switchover")
        for line in try recording.some(.destination, "vfio_load_state_device_data").prefix(40) {
            let altered = recording.replacing(.destination, line, "ret 0", "ret -5")
            let device = try #require(recording.lines[.destination]![line - 1].split(separator: "(").last?.split(separator: ")").first)
            // The device's own section goes on to its marker, or to the next section.
            if let marker = recording.number(.destination, "ef100005", after: line), marker == line + 1,
                recording.lines[.destination]![marker - 1].contains(device)
            {
                let approval = try #require(approvals.first { $0 > line })
                try expect(altered, breaks: .approvalAfterData, at: approval, of: .destination, "data at \(line)")
            } else {
                try expect(altered, breaks: .dataWritten, at: line, of: .destination, "data at \(line)")
            }
        }
    }

    @Test(arguments: legacy) func aLegacyCountIsWrong(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.destination, "loadvm_approve_switchover") {
            let text = recording.lines[.destination]![line - 1]
            let count = String(text.suffix(1))
            let altered = recording.replacing(
                .destination, line, text.contains("num=") ? "num=\(count)" : "num_legacy \(count)",
                text.contains("num=") ? "num=7" : "num_legacy 7")
            try expect(altered, breaks: .legacyCount, at: line, of: .destination, "approval at \(line)")
        }
        // Only 11.1 has lines of its requests, and a counter of this name.
        let requests = recording.numbers(.destination, "migration_request_switchover_ack_legacy")
        let isNew = recording.lines[.destination]!.contains { $0.contains("loadvm_approve_switchover") && $0.contains("num_legacy") }
        #expect(requests.isEmpty == !isNew)
        for line in requests {
            let text = recording.lines[.destination]![line - 1]
            let altered = recording.replacing(.destination, line, "num_legacy \(text.suffix(1))", "num_legacy 7")
            try expect(altered, breaks: .legacyCount, at: line, of: .destination, "request at \(line)")
        }
    }

    // MARK: Counted ACKs and the decision

    @Test(arguments: all) func aCountedACKIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        let acks = recording.numbers(.source, "switchover_acked")
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        var altered = 0
        defer { #expect(altered > 0) }
        for (index, line) in acks.enumerated() {
            // Where lines are missing, this one may be among them.
            if recording.gap(.source, near: line) { continue }
            altered += 1
            let without = recording.removing(.source, line)
            if index + 1 < acks.count {
                let broken = try without.judgement().findings
                // The next ACK's number is wrong; but where a request was collected in between, that line may as well be this ACK's, come
                // late. Then it is the next one's that never comes.
                let next = Place(stream: .source, line: acks[index + 1] - 1)
                #expect(
                    broken.contains {
                        ($0.rule == .ackNumber && $0.places.first == next) || ($0.rule == .pendingNumber && $0.places.count == 2)
                    },
                    "ACK at \(line)")
            } else {
                let moved = line < decision ? decision - 1 : decision
                try expect(without, breaks: .decisionAwaitsAcks, at: moved, of: .source, "ACK at \(line)")
            }
        }
    }

    @Test(arguments: all) func anACKIsCountedTwice(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.source, "switchover_acked") {
            let rule: Rule = recording.lines[.source]![line - 1].contains("pending_num") ? .ackNumber : .surplusAck
            try expect(recording.doubling(.source, line), breaks: rule, at: line + 1, of: .source, "ACK at \(line)")
        }
    }

    @Test(arguments: decidesAfterAck) func theDecisionComesBeforeAnACK(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let acks = recording.numbers(.source, "switchover_acked").filter { $0 < decision }
        #expect(!acks.isEmpty)
        for line in acks {
            // Before the section in which the marker was written: a step ends there, and many more follow.
            let earlier = try #require(recording.numbers(.source, "savevm_state_iterate").last { $0 < line })
            let altered = recording.moving(.source, decision, before: earlier)
            try expect(altered, breaks: .decisionAwaitsAcks, at: earlier, of: .source, "decision before \(earlier)")
            try expect(altered, breaks: .iteratesUntilDecision, at: earlier + 1, of: .source, "decision before \(earlier)")
        }
    }

    /// Within a step: the queries behind it, of the same thread, tell that it was not one.
    @Test(arguments: decidesAfterAck) func theDecisionComesRightBeforeAnACK(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let queries = recording.numbers(.source, "qemu_savevm_query_pending") + recording.numbers(.source, "migrate_pending_e")
        let acks = recording.numbers(.source, "switchover_acked").filter { line in queries.contains { line < $0 && $0 < decision } }
        #expect(!acks.isEmpty)
        for line in acks {
            let altered = recording.moving(.source, decision, before: line)
            try expect(altered, breaks: .decisionAwaitsAcks, at: line, of: .source, "decision before \(line)")
            #expect(try altered.judgement().broken.contains("no-iteration-after-decision"))
        }
    }

    @Test(arguments: all) func theDecisionIsNotOne(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        try expect(recording.doubling(.source, decision), breaks: .oneDecision, at: decision + 1, of: .source, "doubled")
        let device = try #require(recording.number(.source, "new state device"))
        for line in [decision + 1, device, device + 1] {
            let altered = recording.inserting(.source, "savevm_state_iterate ", before: line)
            try expect(altered, breaks: .iteratesUntilDecision, at: line, of: .source, "iterated")
        }
        if recording.hasGaps(.source) { return }
        try expect(recording.removing(.source, decision), breaks: .oneDecision, at: device - 1, of: .source, "removed")
    }

    /// SHUT is the last message the return-path thread reads: an ACK behind it was not there before.
    @Test(arguments: all) func anACKBehindSHUT(name: String) throws {
        let recording = try Recording.named(name)
        let shut = try #require(recording.number(.source, "source_return_path_thread_shut"))
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let line = try #require(recording.numbers(.source, "switchover_acked").last)
        if recording.gap(.source, near: line) { return }
        let text = recording.lines[.source]![line - 1]
        let altered = recording.inserting(.source, text, before: shut + 1).removing(.source, line)
        try expect(altered, breaks: .decisionAwaitsAcks, at: line < decision ? decision - 1 : decision, of: .source, "ACK behind \(shut)")
    }

    /// The line of one ACK may be printed after the decision it enabled.
    @Test(arguments: all) func oneLateLineIsTolerated(name: String) throws {
        let recording = try Recording.named(name)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let last = try #require(recording.numbers(.source, "switchover_acked").last { $0 < decision + 3 })
        guard last < decision else { return }
        // Queries in between print the number with the ACK already counted.
        let altered = recording.moving(.source, last, before: decision + 1)
        let broken = try altered.judgement().broken
        #expect(broken == [])
    }

    @Test(arguments: counting) func aCounterIsWrong(name: String) throws {
        let recording = try Recording.named(name)
        var (alteredQueries, alteredAcks) = (0, 0)
        defer { #expect(alteredQueries > 0 && alteredAcks > 0) }
        let queries = recording.numbers(.source, "qemu_savevm_query_pending")
        for line in queries.prefix(6) + queries.suffix(3) {
            let text = recording.lines[.source]![line - 1]
            let pending = try #require(text.split(separator: "=").last.flatMap { Int($0) })
            let altered = recording.replacing(
                .source, line, "total switchover ack pending=\(pending)", "total switchover ack pending=\(pending + 2)")
            // After missing lines the first query only tells where the ledger begins.
            if recording.gap(.source, before: line, since: "qemu_savevm_query_pending") { continue }
            alteredQueries += 1
            try expect(altered, breaks: .pendingNumber, at: line, of: .source, "query at \(line)")
        }
        // Smaller by one in one query: what was counted stays counted.
        // The first one tells the mode, too.
        for (line, next) in zip(queries, queries.dropFirst()).dropFirst().prefix(12) where !recording.hasGaps(.source) {
            let text = recording.lines[.source]![line - 1]
            let pending = try #require(text.split(separator: "=").last.flatMap { Int($0) })
            let isCounted = recording.numbers(.source, "switchover_acked").contains { line < $0 && $0 < next }
            guard pending > 0, !isCounted else { continue }
            let altered = recording.replacing(
                .source, line, "total switchover ack pending=\(pending)", "total switchover ack pending=\(pending - 1)")
            try expect(altered, breaks: .pendingNumber, at: line, of: .source, "query at \(line)")
        }
        for line in try recording.some(.source, "switchover_acked") {
            let text = recording.lines[.source]![line - 1]
            let altered = recording.replacing(.source, line, "pending_num \(text.suffix(1))", "pending_num 7")
            if recording.gap(.source, before: line, since: "qemu_savevm_query_pending") { continue }
            alteredAcks += 1
            try expect(altered, breaks: .ackNumber, at: line, of: .source, "ACK at \(line)")
        }
        for line in queries.filter({ recording.lines[.source]![$0 - 1].contains("collected switchover ack pending=1") }) {
            let altered = recording.replacing(.source, line, "collected switchover ack pending=1", "collected switchover ack pending=3")
            try expect(altered, breaks: .collectedRequests, at: line, of: .source, "query at \(line)")
        }
    }

    @Test(arguments: counting) func theFinalQuery(name: String) throws {
        let recording = try Recording.named(name)
        let line = try #require(recording.number(.source, "final=1"))
        let completes = try #require(recording.number(.source, "migration_precopy_complete"))
        try expect(recording.removing(.source, line), breaks: .finalQuery, at: completes - 1, of: .source, "removed")
        try expect(recording.doubling(.source, line), breaks: .finalQuery, at: line + 1, of: .source, "doubled")
        let device = try #require(recording.number(.source, "new state device"))
        try expect(recording.moving(.source, line, before: device), breaks: .finalQuery, at: device, of: .source, "before device")
    }

    // MARK: Requests and markers

    @Test(arguments: perDevice) func aMarkerIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.source, "vfio_send_init_data_flag") {
            try expect(recording.removing(.source, line), breaks: .markerDue, at: line, of: .source, "marker at \(line)")
        }
    }

    @Test(arguments: counting) func aMarkerIsWrittenTwice(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.source, "vfio_send_init_data_flag") {
            try expect(recording.doubling(.source, line), breaks: .markerPerRequest, at: line + 1, of: .source, "marker at \(line)")
        }
    }

    @Test(arguments: perDevice) func aMarkerComesTooEarly(name: String) throws {
        let recording = try Recording.named(name)
        var altersALine = false
        defer { #expect(altersALine) }
        for line in try recording.some(.source, "vfio_send_init_data_flag") {
            let end = line + 1
            guard recording.lines[.source]![end - 1].contains("precopy initial size 0") else { continue }
            altersALine = true
            let altered = recording.replacing(.source, end, "precopy initial size 0", "precopy initial size 4096")
            try expect(altered, breaks: .markerDrained, at: line, of: .source, "marker at \(line)")
        }
    }

    @Test(arguments: counting) func aMarkerComesBeforeItsBlock(name: String) throws {
        let recording = try Recording.named(name)
        var altersALine = false
        defer { #expect(altersALine) }
        for line in try recording.some(.source, "vfio_send_init_data_flag") {
            guard recording.lines[.source]![line - 2].contains("vfio_save_block ") else { continue }
            altersALine = true
            let altered = recording.moving(.source, line, before: line - 1)
            try expect(altered, breaks: .markerDrained, at: line - 1, of: .source, "marker at \(line)")
        }
    }

    @Test(arguments: perDevice) func aRequestLineIsMissing(name: String) throws {
        let recording = try Recording.named(name)
        for line in try recording.some(.source, "request switchover ack 1") {
            let query = try #require(recording.number(.source, "qemu_savevm_query_pending", after: line))
            try expect(recording.removing(.source, line), breaks: .collectedRequests, at: query - 1, of: .source, "request at \(line)")
        }
    }

    @Test(arguments: ["lm-reinit-q23", "cell reinit-gate"]) func aReinitIsNotAnswered(name: String) throws {
        let recording = try Recording.named(name)
        let requests = recording.numbers(.source, "vfio_query_precopy_size_request_switchover_ack")
        #expect(!requests.isEmpty)
        for line in requests {
            var altered = recording
            let query = try #require(recording.number(.source, "qemu_savevm_query_pending", after: line))
            altered = altered.replacing(.source, line + 1, "request switchover ack 1", "request switchover ack 0")
            altered = altered.replacing(.source, query, "collected switchover ack pending=1", "collected switchover ack pending=0")
            altered = altered.removing(.source, line)
            try expect(altered, breaks: .reinitRequests, at: line - 1, of: .source, "request at \(line)")
            // Raised, but never collected.
            let uncollected = recording.replacing(.source, line + 1, "request switchover ack 1", "request switchover ack 0")
            try expect(uncollected, breaks: .requestCollected, at: line + 1, of: .source, "request at \(line)")
        }
    }

    @Test(arguments: perDevice) func theSetupRequestIsMissing(name: String) throws {
        var recording = try Recording.named(name)
        recording.circumstances.sourceMode = .perDevice
        let request = try #require(recording.number(.source, "request switchover ack 1"))
        let query = try #require(recording.number(.source, "qemu_savevm_query_pending"))
        let text = recording.lines[.source]![query - 1]
        let collected = text.contains("collected switchover ack pending=2") ? 2 : 1
        recording = recording.replacing(.source, request, "request switchover ack 1", "request switchover ack 0")
            .replacing(.source, query, "collected switchover ack pending=\(collected)", "collected switchover ack pending=\(collected - 1)")
        try expect(recording, breaks: .setupRequest, at: query, of: .source, "request at \(request)")
    }

    @Test func aRequestWithoutCause() throws {
        let recording = try Recording.capture("vfio-new-1")
        let line = try #require(recording.numbers(.source, "request switchover ack 0").dropFirst(3).first)
        let altered = recording.replacing(.source, line, "request switchover ack 0", "request switchover ack 1")
        try expect(altered, breaks: .requestCause, at: line, of: .source, "request at \(line)")
    }

    @Test(arguments: ["vfio-new-1", "vfio-new-2", "cell reinit-gate"]) func bytesDifferAcrossTheSides(name: String) throws {
        let recording = try Recording.named(name)
        let approval = try #require(recording.number(.destination, "loadvm_approve_switchover"))
        let data = try #require(recording.numbers(.destination, "vfio_load_state_device_data").last { $0 < approval })
        let altered = recording.replacing(.destination, data, " ret 0", "0 ret 0")
        try expect(altered, breaks: .bytesAcross, at: approval, of: .destination, "data at \(data)")
    }

    // MARK: States

    @Test(arguments: all) func aStatusIsIllegal(name: String) throws {
        let recording = try Recording.named(name)
        for (stream, status) in [(StreamName.source, "device"), (.source, "active"), (.destination, "active"), (.destination, "completed")]
        {
            let line = try #require(recording.number(stream, "new state \(status)"))
            // Behind missing lines any status may have been before.
            if status != "active", recording.hasGaps(stream) { continue }
            let altered = recording.replacing(stream, line, "new state \(status)", "new state postcopy-recover")
            try expect(altered, breaks: .statusArc, at: line, of: stream, "\(status)")
        }
    }

    @Test(arguments: all) func aDeviceGoesAstray(name: String) throws {
        let recording = try Recording.named(name)
        for stream in [StreamName.source, .destination] {
            // What the process did before its first migration counts, too.
            for line in try recording.some(stream, "vfio_migration_set_device_state") {
                let text = recording.lines[stream]![line - 1]
                let state = try #require(text.split(separator: " ").last)
                let other = stream == .source ? "RESUMING" : "PRE_COPY"
                try expect(
                    recording.replacing(stream, line, "state \(state)", "state \(other)"), breaks: .qemuDeviceState, at: line, of: stream,
                    "did at \(line)")
            }
            for line in try recording.some(stream, "vfio_migration_set_state") {
                let text = recording.lines[stream]![line - 1]
                let state = try #require(text.split(separator: " new state ").last?.split(separator: ",").first)
                let other = stream == .source ? "RESUMING" : "PRE_COPY"
                try expect(
                    recording.replacing(stream, line, "new state \(state),", "new state \(other),"), breaks: .qemuDeviceState, at: line,
                    of: stream,
                    "asked at \(line)")
            }
        }
    }

    @Test(arguments: ["vfio-new-2", "x-vfio-11to10-2", "x-vfio-10to10-2", "cell two-devices"]) func aDeviceIsPreparedTooLate(name: String)
        throws
    {
        let recording = try Recording.named(name)
        let prepared = recording.numbers(.source, "vfio_vmstate_change_prepare").filter {
            recording.lines[.source]![$0 - 1].contains("running 0 reason finish-migrate")
        }
        let changed = recording.numbers(.source, "vfio_vmstate_change ").filter {
            recording.lines[.source]![$0 - 1].contains("running 0 reason finish-migrate")
        }
        let second = try #require(prepared.last)
        let first = try #require(changed.first)
        let altered = recording.moving(.source, second, before: first + 1)
        try expect(altered, breaks: .callbackOrder, at: first, of: .source, "prepared at \(second)")
    }

    static let strayed: [(stream: StreamName, old: String, new: String, rule: Rule)] = [
        (.sourceDevices, "from RUNNING to PRE_COPY", "from RUNNING to STOP_COPY", .deviceState),
        (.sourceDevices, "from PRE_COPY to PRE_COPY_P2P", "from PRE_COPY to STOP_COPY", .deviceState),
        (.sourceDevices, "from PRE_COPY_P2P to STOP_COPY", "from RUNNING_P2P to STOP", .deviceState),
        (.destinationDevices, "from STOP to RESUMING", "from STOP to PRE_COPY", .deviceState),
        (.destinationDevices, "resuming session 1", "saving session 1", .deviceSession),
        (.sourceDevices, "saving session 1", "resuming session 1", .deviceSession),
    ]

    @Test(arguments: strayed) func aMockDeviceGoesAstray(stream: StreamName, old: String, new: String, rule: Rule) throws {
        for name in ["cell reinit-gate", "cell two-devices"] {
            let recording = try Recording.named(name)
            let line = try #require(recording.number(stream, old))
            try expect(recording.replacing(stream, line, old, new), breaks: rule, at: line, of: stream, name)
        }
    }

    @Test func dataMovesOnlyInItsSession() throws {
        let recording = try Recording.cell("reinit-gate")
        let read = try #require(recording.number(.sourceDevices, "device_read"))
        let begin = try #require(recording.number(.sourceDevices, "from RUNNING to PRE_COPY"))
        try expect(recording.moving(.sourceDevices, read, before: begin), breaks: .deviceSession, at: begin, of: .sourceDevices, "read")
        let query = try #require(recording.number(.sourceDevices, "device_precopy_info"))
        try expect(recording.moving(.sourceDevices, query, before: begin), breaks: .deviceSession, at: begin, of: .sourceDevices, "query")
        let end = try #require(recording.number(.destinationDevices, "device_session_end"))
        let write = try #require(recording.numbers(.destinationDevices, "device_write").last)
        let moved = recording.moving(.destinationDevices, write, before: end + 1)
        try expect(moved, breaks: .deviceSession, at: end, of: .destinationDevices, "write")
    }

    /// A log that several processes wrote, one after the other.
    @Test(arguments: all) func anotherProcessBeginsAnew(name: String) throws {
        var recording = try Recording.named(name)
        for stream in [StreamName.source, .destination] { recording.lines[stream]! += recording.lines[stream]! }
        let judgement = try recording.judgement()
        #expect(judgement.verdict == .completed)
        #expect(judgement.broken == [])
    }

    /// Devices without PRE_COPY are named at the end only; those beside them are matched all the same.
    @Test func devicesOfMixedAbilities() throws {
        var recording = try Recording.cell("odd-precopy")
        recording.circumstances = Circumstances()
        let judgement = try recording.judgement()
        #expect(judgement.verdict == .completed)
        #expect(judgement.findings == [])
        let marker = try #require(recording.number(.source, "vfio_send_init_data_flag"))
        let approval = try #require(recording.number(.destination, "loadvm_approve_switchover"))
        let data = try #require(recording.numbers(.destination, "vfio_load_state_device_data").last { $0 < approval })
        let broken = try recording.replacing(.destination, data, " ret 0", "0 ret 0").judgement().findings
        #expect(broken.map(\.rule) == [.bytesAcross])
        #expect(broken.first?.device == "0000:00:11.0/vfio")
        #expect(broken.first?.places == [Place(stream: .destination, line: approval), Place(stream: .source, line: marker)])
        // Neither is named when the migration ends before the completion.
        let early = recording.keeping(.source, first: marker + 1)
        #expect(
            try early.replacing(.destination, data, " ret 0", "0 ret 0").judgement().findings.contains {
                $0.rule == .bytesAcross && $0.device == "0000:00:11.0/vfio"
            })
    }

    /// The line that is wrong comes before the sums that do not come out because of it.
    @Test(arguments: perDevice) func sumsComeLast(name: String) throws {
        let recording = try Recording.named(name)
        let line = try #require(recording.number(.destination, "loadvm_approve_switchover"))
        let broken = try recording.removing(.destination, line).judgement().findings
        #expect(broken.first?.rule == .markerApproved)
        // The sums are not made where lines are missing.
        #expect(broken.contains { $0.places.first?.stream == .source } || recording.hasGaps(.source))
    }

    // MARK: The final query and its error

    @Test(arguments: [("lm-final-reinit", 1), ("lm-final-2dev", 2)]) func theErrorOfTheFinalQuery(tag: String, count: Int) throws {
        let recording = try Recording.capture(tag)
        let line = try #require(recording.number(.source, "Switchover ACK was requested by"))
        try expect(
            recording.replacing(.source, line, "by \(count) devices", "by 3 devices"), breaks: .finalRequestFails, at: line, of: .source,
            "count")
        let query = try #require(recording.number(.source, "final=1", after: line - 4))
        let ignored = recording.removing(.source, line).inserting(.source, "savevm_send_switchover_start ", before: line)
        try expect(ignored, breaks: .finalRequestFails, at: line, of: .source, "went on")
        #expect(query < line)
        try expect(recording.removing(.source, line), breaks: .finalRequestFails, at: line, of: .source, "no error")
    }

    @Test func theErrorWithoutARequest() throws {
        let recording = try Recording.capture("vfio-new-1")
        let line = try #require(recording.number(.source, "migration_precopy_complete"))
        let altered = recording.inserting(
            .source, "migrate_error error=Switchover ACK was requested by 1 devices during switchover", before: line)
        try expect(altered, breaks: .finalRequestFails, at: line, of: .source, "error")
    }

    // MARK: Logs that stop

    @Test(arguments: ["vfio-new-1", "x-vfio-10to11-1", "none-legacy-both", "x-11to10-none-ack", "none-postcopy"])
    func aLogThatStopsInTheMiddleIsUndecided(name: String) throws {
        let recording = try Recording.named(name)
        for stream in [StreamName.source, .destination] {
            let begin = try #require(recording.number(stream, "new state setup"))
            let final = try #require(
                recording.numbers(stream, "new state ").last { line in
                    ["completed", "failed"].contains { recording.lines[stream]![line - 1].hasSuffix($0) }
                })
            let isFailed = recording.lines[.source]!.contains { $0.hasSuffix("new state failed") }
            if isFailed, stream == .destination { continue }
            for count in stride(from: begin, to: final, by: 7) {
                let judgement = try recording.keeping(stream, first: count).judgement()
                let last = try #require(try recording.lastEvent(stream, within: count))
                #expect(judgement.verdict == .undecided, "\(stream) cut after \(count): \(judgement.reason)")
                #expect(
                    judgement.breaks(.truncated, at: last, of: stream), "\(stream) cut after \(count): \(judgement.findings.map(\.places))")
                #expect(!judgement.reason.isEmpty)
                let others = judgement.broken.filter { $0 != "truncated" && !["surplus-ack", "same-mode"].contains($0) }
                #expect(others == [], "\(stream) cut after \(count)")
            }
        }
    }

    @Test func aCutLastLineIsNotBelieved() throws {
        let recording = try Recording.capture("vfio-new-2")
        let ack = try #require(recording.numbers(.source, "switchover_acked").last)
        // `pending_num 0` with a 1 in front of it that was all that is left of a longer number.
        let cut = recording.keeping(.source, first: ack).replacing(.source, ack, "pending_num 0", "pending_num 1")
        let judgement = try cut.judgement(endingWithLineEnd: false)
        #expect(judgement.broken == ["truncated"])
        #expect(judgement.breaks(.truncated, at: ack, of: .source))
        #expect(judgement.verdict == .undecided)
    }

    /// Wherever a line is cut, the log ends within it, be it in the middle of a name.
    @Test(arguments: ["vfio-new-2", "x-vfio-10to10-2"]) func aCutLineIsNamed(name: String) throws {
        let recording = try Recording.named(name)
        for stream in [StreamName.source, .destination] {
            let final = try #require(recording.numbers(stream, "new state completed").last)
            let line = try #require(recording.numbers(stream, "vfio_migration_set_state").last { $0 < final })
            let whole = recording.lines[stream]![line - 1]
            for length in stride(from: 1, to: whole.count, by: 4) {
                var cut = recording.keeping(stream, first: line)
                cut.lines[stream]![line - 1] = String(whole.prefix(length))
                let judgement = try cut.judgement(endingWithLineEnd: false)
                #expect(judgement.breaks(.truncated, at: line, of: stream), "\(stream) cut behind '\(whole.prefix(length))'")
            }
        }
    }

    // MARK: The capability

    @Test(arguments: ["vfio-new-1", "x-vfio-10to11-1"]) func nothingOfItWithTheCapabilityOff(name: String) throws {
        var recording = try Recording.named(name)
        recording.circumstances.sourceCapability = false
        recording.circumstances.destinationCapability = false
        let judgement = try recording.judgement()
        let ack = try #require(recording.number(.source, "switchover_acked"))
        let approval = try #require(recording.number(.destination, "loadvm_approve_switchover"))
        #expect(judgement.breaks(.capabilityOff, at: ack, of: .source))
        #expect(judgement.breaks(.capabilityOff, at: approval, of: .destination))
        var off = try Recording.capture("vfio-noack")
        off.circumstances = recording.circumstances
        #expect(try off.judgement().findings == [])
    }
}
