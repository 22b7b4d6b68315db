import MigrationTrace
import Testing

@testable import Verification

/// "Forever" is proved from the state of both sides and then confirmed; slow, held and unfinished are not forever.
@Suite struct EndlessTests {
    /// Writes the logs of two sides, as an 11.1 source and its destination print them.
    struct Script {
        var source: [String] = []
        var destination: [String] = []
        var sourceDevices: [String] = []
        var destinationDevices: [String] = []
        var isOld = false
        var pending = 0
        private var sections = 0

        init(devices: [String] = ["a"], mode: SwitchoverAckMode = .perDevice, old: Bool = false) {
            isOld = old
            source += ["vm_state_notify running 1 reason 9 (running)", "migrate_set_state new state setup", "savevm_state_header "]
            for device in devices {
                source.append("vfio_migration_set_state  (\(device)) new state PRE_COPY, recover state RUNNING")
                source.append("vfio_migration_set_device_state  (\(device)) state PRE_COPY")
                if !old { source.append("vfio_query_precopy_size  (\(device)) init 100, dirty 0, reinit 0, ret 0") }
                source.append("vfio_save_setup  (\(device)) data buffer size 98304")
            }
            source += [
                "migrate_set_state new state active",
                "migrate_transferred transferred 1 time_spent 100 bandwidth 1 switchover_bw 1 max_size 1000",
            ]
            destination += [
                "migrate_set_state new state setup", "migrate_set_state new state active", "loadvm_state_setup ",
                "loadvm_process_command com=OPEN_RETURN_PATH len=0", "qemu_loadvm_state_section_command 0",
                "migrate_send_rp_message 2: len 4",
            ]
            if !old, mode == .perDevice {
                for device in devices { source.append(state(device, initial: 100, requests: true)) }
                pending = devices.count
                source.append(query(total: 5000, collected: devices.count))
                source.append("savevm_state_iterate ")
            } else if !old {
                pending = 1
            }
        }

        func state(_ device: String, initial: Int, requests: Bool = false) -> String {
            "vfio_state_pending  (\(device)) stopcopy size 0, precopy initial size \(initial), precopy dirty size 0, request switchover ack \(requests ? 1 : 0), exact 0, final 0"
        }

        func query(total: Int, collected: Int = 0) -> String {
            isOld
                ? "migrate_pending_exact exact pending size \(total) (pre = \(total) post=0)"
                : "qemu_savevm_query_pending exact=1, final=0, precopy=\(total), stopcopy=0, postcopy=0, total=\(total), collected switchover ack pending=\(collected), total switchover ack pending=\(UInt32(bitPattern: Int32(pending)))"
        }

        mutating func section(_ device: String, block: Int?, left: Int, marker: Bool = false) {
            source.append("savevm_section_start 0000:00:0\(device).0/vfio, section_id 37")
            if let block { source.append("vfio_save_block  (\(device)) data_size \(block)") }
            if marker && !isOld { source.append("vfio_send_init_data_flag  (\(device))") }
            source.append("vfio_save_iterate  (\(device)) precopy initial size \(left) precopy dirty size 0")
            source.append("savevm_section_end 0000:00:0\(device).0/vfio, section_id 37 -> 0")
        }

        /// The destination loads a device's initial bytes, and approves it, with an ACK or without.
        mutating func load(_ device: String, bytes: Int = 100, approval: String? = "", ack: Bool = true) {
            destination += ["qemu_loadvm_state_section 2", "qemu_loadvm_state_section_partend 37"]
            destination += [
                "vfio_load_state  (\(device)) data 0xffffffffef100004", "vfio_load_state_device_data  (\(device)) size \(bytes) ret 0",
                "vfio_load_state  (\(device)) data 0xffffffffef100005",
            ]
            if let approval { destination.append(approval.isEmpty ? "loadvm_approve_switchover Approver \(device)" : approval) }
            if ack { destination.append("migrate_send_rp_message 7: len 0") }
        }

        mutating func counted() {
            pending -= 1
            source.append(
                isOld
                    ? "source_return_path_thread_switchover_acked "
                    : "source_return_path_thread_switchover_acked switchover_ack_pending_num \(UInt32(bitPattern: Int32(pending)))")
        }

        mutating func iterate(_ times: Int, total: (Int) -> Int = { _ in 500 }, devices: [String] = [], read: Bool = true) {
            for time in 0..<times {
                source.append(query(total: total(time)))
                source.append("savevm_state_iterate ")
                for device in devices { section(device, block: nil, left: 0) }
                if read { for _ in devices { destination += ["qemu_loadvm_state_section 2", "qemu_loadvm_state_section_partend 37"] } }
            }
        }

        func verifier(_ circumstances: Circumstances = .init()) throws -> Verifier {
            var verifier = Verifier(circumstances, sides: .both)
            let streams: [(StreamName, [String])] = [
                (.source, source), (.destination, destination), (.sourceDevices, sourceDevices), (.destinationDevices, destinationDevices),
            ]
            for (stream, lines) in streams {
                var reader = LogReader(Array(lines.map { $0 + "\n" }.joined().utf8))
                try verifier.read(&reader, as: stream)
                #expect(reader.summary.events == lines.count, "\(reader.summary.examples)")
            }
            return verifier
        }
    }

    private func proof(_ script: Script, armed: String? = nil) throws -> Verdict? {
        try script.verifier().endlessProof(armed: armed)?.verdict
    }

    /// Two requests, a legacy destination that sends one ACK for both.
    private func oneACKForTwo(iterations: Int) -> Script {
        var script = Script(devices: ["a", "b"])
        script.destination.insert("migration_request_switchover_ack_legacy Requester b, switchover_ack_pending_num_legacy 2", at: 3)
        script.destination.insert("migration_request_switchover_ack_legacy Requester a, switchover_ack_pending_num_legacy 1", at: 3)
        script.section("a", block: 100, left: 0, marker: true)
        script.section("b", block: 100, left: 0, marker: true)
        script.load("a", approval: "loadvm_approve_switchover_legacy Approver a, switchover_ack_pending_num_legacy 1", ack: false)
        script.load("b", approval: "loadvm_approve_switchover_legacy Approver b, switchover_ack_pending_num_legacy 0")
        script.counted()
        script.iterate(iterations)
        return script
    }

    @Test func aMissingACKIsForeverOnceEverythingIsAnswered() throws {
        #expect(try proof(oneACKForTwo(iterations: 150)) == nil)
        let script = oneACKForTwo(iterations: 250)
        #expect(try proof(script) == .waitsForever)
        #expect(try proof(script, armed: "schedule step 3") == nil)
        let judgement = try script.verifier().judgement()
        #expect(judgement.verdict == .waitsForever)
        #expect(judgement.broken == ["ends", "same-mode"])
        #expect(judgement.findings.first?.places.map(\.stream) == [.source, .destination])
        var armed = Circumstances()
        armed.armed = "the rule on line 7 of a's script"
        let open = try script.verifier(armed).judgement()
        #expect(open.verdict == .undecided)
        #expect(open.reason.contains("the rule on line 7"))
    }

    @Test func anUnderflowIsEndless() throws {
        var script = Script()
        script.section("a", block: 100, left: 0, marker: true)
        script.load("a")
        script.destination += ["migrate_send_rp_message 7: len 0"]
        script.counted()
        script.counted()
        script.source += [
            "migrate_error error=Switchover ack pending num underflowed", "source_return_path_thread_bad_end ",
            "source_return_path_thread_end ",
        ]
        var short = script
        short.iterate(150)
        #expect(try proof(short) == nil)
        script.iterate(250)
        #expect(try proof(script) == .endlessAfterUnderflow)
        let judgement = try script.verifier().judgement()
        #expect(judgement.verdict == .endlessAfterUnderflow)
        #expect(judgement.broken.contains("surplus-ack") && judgement.broken.contains("ends"))
    }

    static let openEnds: [(name: String, owes: String, make: @Sendable () -> Script)] = [
        (
            "the marker is not loaded", "loaded 0 of 1 markers",
            {
                var script = Script()
                script.section("a", block: 100, left: 0, marker: true)
                script.iterate(1000)
                return script
            }
        ),
        (
            "a device is held", "a call of the destination's device b is held at gate load",
            {
                var script = Script()
                script.section("a", block: 100, left: 0, marker: true)
                script.destinationDevices = ["device_open  (b) mig_flags 0x7, reinit 1", "device_hold_begin  (b) gate load"]
                script.iterate(1000)
                return script
            }
        ),
        (
            "the approval is due", "owes the approval of 0000:00:0a.0/vfio",
            {
                var script = Script()
                script.section("a", block: 100, left: 0, marker: true)
                script.destination.insert("qemu_loadvm_state_section_startfull 37(0000:00:0a.0/vfio) 0 1", at: 5)
                script.destination.append("qemu_loadvm_state_section_partend 37")
                script.load("a", approval: nil, ack: false)
                script.iterate(1000)
                return script
            }
        ),
        (
            "the ACK is due", "owes the ACK for the approval",
            {
                var script = Script()
                script.section("a", block: 100, left: 0, marker: true)
                script.load("a", ack: false)
                script.iterate(1000)
                return script
            }
        ),
        (
            "the ACK is on its way", "counted 0 of the 1 ACKs that the destination sent",
            {
                var script = Script()
                script.section("a", block: 100, left: 0, marker: true)
                script.load("a")
                script.iterate(1000)
                return script
            }
        ),
        (
            "the initial bytes are not drained", "owes the rest of its initial bytes: it still has 60 of them",
            {
                var script = Script()
                script.section("a", block: 40, left: 60)
                script.iterate(1000)
                return script
            }
        ),
        (
            "an old source's marker may be unread", "read 0 of 501 sections",
            {
                var script = Script(mode: .legacy, old: true)
                script.section("a", block: 100, left: 0)
                script.iterate(500, devices: ["a"], read: false)
                return script
            }
        ),
        (
            "pending falls", "no ACK is missing",
            {
                var script = Script()
                script.section("a", block: 100, left: 0, marker: true)
                script.load("a")
                script.counted()
                script.iterate(1000, total: { 1_000_000 - 100 * $0 })
                return script
            }
        ),
    ]

    @Test(arguments: openEnds.indices) func whatMayStillHappenIsNotForever(index: Int) throws {
        let (name, owes, make) = Self.openEnds[index]
        let script = make()
        #expect(try proof(script) == nil, "\(name)")
        let judgement = try script.verifier().judgement()
        #expect(judgement.verdict == .undecided, "\(name)")
        #expect(judgement.reason.contains(owes), "\(name): \(judgement.reason)")
        // The approval follows its marker at once, or never.
        let owesApproval = owes.contains("owes the approval")
        // What broke comes before the end of the log.
        #expect(judgement.broken == (owesApproval ? ["marker-approved"] : []) + ["truncated"], "\(name)")
    }

    /// A source that is cancelled before its return path is opened waits for the thread of it, which nobody wakes.
    private func cancelled(beforeTheReturnPath isEarly: Bool) -> Script {
        var script = Script(mode: .legacy)
        script.source = ["vm_state_notify running 1 reason 9 (running)", "migrate_set_state new state setup"]
        let cancel = ["migration_cancel ", "migrate_set_state new state cancelling"]
        let open = ["open_return_path_on_source ", "open_return_path_on_source_continue ", "source_return_path_thread_loop_top "]
        script.source += isEarly ? cancel + open : open + cancel
        script.source += ["savevm_state_setup ", "migration_thread_after_loop ", "migration_cleanup ", "migration_return_path_end_before "]
        return script
    }

    @Test func aCancelBeforeTheReturnPathIsWaitedForForever() throws {
        let script = cancelled(beforeTheReturnPath: true)
        #expect(try proof(script) == .waitsForever)
        #expect(try proof(script, armed: "kill the destination") == nil)
        #expect(try script.verifier().judgement().broken == ["ends"])
        // Later it shuts the return path down, and the thread's end is on its way.
        #expect(try proof(cancelled(beforeTheReturnPath: false)) == nil)
        for line in ["source_return_path_thread_end ", "migration_return_path_end_after "] {
            var over = script
            over.source.append(line)
            #expect(try proof(over) == nil, "\(line)")
        }
        var silent = script
        silent.destination.removeAll { $0.hasPrefix("migrate_send_rp_message") }
        #expect(try proof(silent) == nil)
    }

    @Test func theReturnPathEndedWithAnACKPending() throws {
        var script = Script()
        script.section("a", block: 100, left: 0, marker: true)
        script.source += ["source_return_path_thread_shut 0x0", "source_return_path_thread_end "]
        script.iterate(250)
        #expect(try proof(script) == .waitsForever)
    }

    /// A destination that failed is about to close the channel, which ends the source, too.
    @Test func aDestinationThatFailedEndsTheWait() throws {
        var script = Script()
        script.section("a", block: 100, left: 0, marker: true)
        script.source += ["source_return_path_thread_shut 0x1", "source_return_path_thread_bad_end ", "source_return_path_thread_end "]
        script.iterate(1000)
        #expect(try proof(script) == nil)
        #expect(try script.verifier().judgement().reason.contains("the destination owes its final status"))
        script.destination.append("migrate_set_state new state failed")
        #expect(try proof(script) == nil)
        #expect(try script.verifier().judgement().reason.contains("the source's next write fails"))
    }

    /// Iterations with dirty data in each, and nothing gained.
    @Test func dirtyDataThatNeverEndsIsNoProgress() throws {
        var script = Script()
        script.section("a", block: 100, left: 0, marker: true)
        script.load("a")
        script.counted()
        for _ in 0..<250 {
            script.iterate(1, total: { _ in 5000 })
            script.section("a", block: 512, left: 0)
        }
        #expect(try proof(script) == .doesNotConverge)
    }

    @Test(arguments: [
        ["migration_cancel ", "migrate_set_state new state cancelling", "migrate_set_state new state cancelled"],
        ["migrate_set_state new state failed"],
    ])
    func aWaitThatWasCutShortIsStillOne(end: [String]) throws {
        var script = oneACKForTwo(iterations: 250)
        script.source += end
        if end.count > 1 { script.destination.append("migrate_set_state new state failed") }
        let judgement = try script.verifier().judgement()
        #expect(judgement.verdict == .waitsForever)
        #expect(judgement.broken.contains("ends"))
    }

    @Test func aMarkerThatCanNoLongerBeSent() throws {
        var script = Script()
        script.source += [
            "vm_state_notify running 0 reason 4 (paused)", "vfio_migration_set_state  (a) new state PRE_COPY_P2P, recover state ERROR",
            "vfio_migration_set_device_state  (a) state PRE_COPY_P2P",
            "vfio_migration_set_state  (a) new state STOP_COPY, recover state ERROR",
            "vfio_migration_set_device_state  (a) state STOP_COPY", "vm_state_notify running 1 reason 9 (running)",
            "vfio_migration_set_state  (a) new state RUNNING_P2P, recover state ERROR",
            "vfio_migration_set_device_state  (a) state RUNNING_P2P",
            "vfio_migration_set_state  (a) new state RUNNING, recover state ERROR", "vfio_migration_set_device_state  (a) state RUNNING",
        ]
        script.iterate(250)
        #expect(try proof(script) == .waitsForever)
    }

    /// A legacy source and a destination that counted a device whose marker can never come.
    @Test func aLegacySourceWithoutAnACK() throws {
        for old in [false, true] {
            var script = Script(devices: [], mode: .legacy, old: old)
            script.iterate(250)
            #expect(try proof(script) == .waitsForever, "old: \(old)")
            var stopped = script
            stopped.source.append("vm_state_notify running 0 reason 4 (paused)")
            #expect(try proof(stopped) == nil)
        }
        var read = Script(mode: .legacy, old: true)
        read.section("a", block: 100, left: 0)
        read.load("a", approval: "loadvm_approve_switchover Switchover ack pending num=1", ack: false)
        read.iterate(250, devices: ["a"])
        #expect(try proof(read) == .waitsForever)
    }

    @Test func pendingThatStaysAboveTheThresholdDoesNotConverge() throws {
        var script = Script()
        script.section("a", block: 100, left: 0, marker: true)
        script.load("a")
        script.counted()
        script.iterate(500, total: { 5000 + $0 % 7 })
        #expect(try proof(script) == .doesNotConverge)
        let judgement = try script.verifier().judgement()
        #expect(judgement.verdict == .doesNotConverge)
        #expect(judgement.broken == ["converges"])
    }

    /// A requester's marker has no line, and may be written some sections behind the query that collects the request: a destination that has
    /// read no further may have it yet to read.
    @Test(arguments: [(1, nil), (9, nil), (100, nil), (101, .waitsForever), (250, .waitsForever)] as [(read: Int, verdict: Verdict?)])
    func aRequestersMarkerMayBeUnread(read: Int, verdict: Verdict?) throws {
        var script = Script(devices: [])
        script.pending = 1
        script.source.append(script.query(total: 5000, collected: 1))
        script.source.append("savevm_state_iterate ")
        for _ in 0..<250 {
            script.iterate(1)
            script.source += ["savevm_section_start ram, section_id 2", "savevm_section_end ram, section_id 2 -> 0"]
        }
        for _ in 0..<read { script.destination += ["qemu_loadvm_state_section 2", "qemu_loadvm_state_section_partend 2"] }
        var circumstances = Circumstances()
        circumstances.sourceCapability = true
        circumstances.requester = "gpu"
        let verifier = try script.verifier(circumstances)
        #expect(verifier.endlessProof(armed: nil)?.verdict == verdict)
        if verdict == nil { #expect(verifier.judgement().reason.contains("read \(read) of 250 sections")) }
    }

    /// What was proved before the guest was stopped stays a finding of the migration that then completes.
    @Test func aWaitThatWasBrokenOff() throws {
        var script = oneACKForTwo(iterations: 250)
        script.source += [
            "runstate_set current_run_state 9 (running) new_state 4 (paused)", "vm_state_notify running 0 reason 4 (paused)",
            script.query(total: 500), "migration_thread_low_pending 500", "migrate_set_state new state device",
            script.query(total: 500).replacing("final=0", "final=1"), "migration_precopy_complete ", "savevm_send_switchover_start ",
            "source_return_path_thread_shut 0x0", "source_return_path_thread_end ", "migrate_set_state new state completed",
        ]
        script.destination += [
            "loadvm_process_command com=SWITCHOVER_START len=0", "migrate_global_state_post_load loaded state: paused",
            "migrate_set_state new state completed",
        ]
        let judgement = try script.verifier().judgement()
        #expect(judgement.verdict == .completed)
        #expect(judgement.broken == ["ends", "same-mode"])
    }
}

extension String {
    fileprivate func replacing(_ old: String, _ new: String) -> String {
        var parts: [Substring] = []
        var rest = self[...]
        while let range = rest.firstRange(of: old) {
            parts.append(rest[..<range.lowerBound])
            rest = rest[range.upperBound...]
        }
        return (parts + [rest]).joined(separator: new)
    }
}
