import MigrationTrace
import Testing

@testable import Verification

/// The account, taken from short logs: right ones, and ones that are wrong in a way the account must show.
@Suite struct HandshakeTests {
    private func handshake(source: [String], destination: [String] = [], requester: String? = nil) throws -> Handshake {
        var circumstances = Circumstances()
        circumstances.requester = requester
        var from = SourceSide(circumstances)
        var to = DestinationSide(circumstances)
        try each(source) { event, line in
            if let event { from.take(event, at: Place(stream: .source, line: line)) } else { from.lose() }
        }
        try each(destination) { event, line in to.take(try #require(event), at: Place(stream: .destination, line: line)) }
        return Handshake(source: from, destination: to)
    }

    /// Where lines are missing, nil.
    private func each(_ lines: [String], take: (Event?, Int) throws -> Void) throws {
        for (index, line) in lines.enumerated() {
            guard line != lost else {
                try take(nil, index + 1)
                continue
            }
            var reader = LogReader(Array("\(line)\n".utf8))
            let read = try reader.nextEvent()
            try take(try #require(read?.event, "\(line)"), index + 1)
        }
    }

    private let lost = "lines are missing"

    private func query(total: Int, collected: Int, pending: Int, exact: Int = 0) -> String {
        "qemu_savevm_query_pending exact=\(exact), final=0, precopy=0, stopcopy=\(total), postcopy=0, total=\(total), collected switchover ack pending=\(collected), total switchover ack pending=\(pending)"
    }

    private func request(_ device: String) -> String {
        "vfio_state_pending  (\(device)) stopcopy size 0, precopy initial size 0, precopy dirty size 0, request switchover ack 1, exact 0, final 0"
    }

    private let window = "migrate_transferred transferred 124030 time_spent 120 bandwidth 8 switchover_bw 1033 max_size 310075"
    private let iterate = "savevm_state_iterate "
    private let running = "vm_state_notify running 1 reason 9 (running)"
    private let section = [
        "savevm_section_start 0000:00:01.0/vfio, section_id 37", "vfio_save_iterate  (a) precopy initial size 0 precopy dirty size 0",
        "savevm_section_end 0000:00:01.0/vfio, section_id 37 -> 1",
    ]

    @Test func aPerDeviceHandshakeNamesDevicesByIdstrOnBothSides() throws {
        let account = try handshake(
            source: [running, request("a"), query(total: 1 << 30, collected: 1, pending: 1)] + section + [
                window, query(total: 100, collected: 0, pending: 1), iterate,
                "source_return_path_thread_switchover_acked switchover_ack_pending_num 0",
                query(total: 100, collected: 0, pending: 0, exact: 1), "migration_thread_low_pending 100",
            ],
            destination: [
                "qemu_loadvm_state_section_startfull 37(0000:00:01.0/vfio) 0 1", "vfio_load_state  (b) data 0xffffffffef100005",
                "loadvm_approve_switchover Approver b", "migrate_send_rp_message 7: len 0",
            ])
        #expect(account.mode == .perDevice)
        #expect(account.requests == ["0000:00:01.0/vfio": 1])
        #expect(account.approvals == ["0000:00:01.0/vfio": 1])
        #expect((account.acksSent, account.acksCounted) == (1, 1))
        #expect(account.gatedSteps == 1)
        #expect(account.decision == .init(pending: 100, threshold: 310_075, queries: 3, acksBefore: 1, outstanding: 0))
        #expect(account.decidedAfterAllAcks == true)
    }

    /// What no device's line is about is the requester's, and so is an approval without a name inside its section.
    @Test func aRequesterHasWhatIsNoDevices() throws {
        let source = [running, request("a"), query(total: 1 << 30, collected: 4, pending: 4), query(total: 100, collected: 1, pending: 5)]
        let account = try handshake(source: source + section, requester: "gpu")
        #expect(account.requests == ["0000:00:01.0/vfio": 1, "gpu": 4])
        #expect(try handshake(source: source + section).requests == ["0000:00:01.0/vfio": 1])
        // Behind missing lines nobody knows whose the next query's are.
        let cut = [
            running, request("a"), query(total: 1 << 30, collected: 4, pending: 4), lost, query(total: 100, collected: 2, pending: 6),
        ]
        let behind = [query(total: 100, collected: 1, pending: 7)]
        #expect(try handshake(source: cut + section + behind, requester: "gpu").requests == ["0000:00:01.0/vfio": 1, "gpu": 4])
        let destination = [
            "qemu_loadvm_state_section_startfull 36(gpu) 0 1", "qemu_loadvm_state_section_startfull 37(0000:00:01.0/vfio) 0 1",
            "loadvm_state_switchover_ack_needed Switchover ack pending num=2", "qemu_loadvm_state_section_partend 37",
            "vfio_load_state  (b) data 0xffffffffef100005", "loadvm_approve_switchover Switchover ack pending num=1",
            "qemu_loadvm_state_section_partend 36", "loadvm_approve_switchover Switchover ack pending num=0",
            "migrate_send_rp_message 7: len 0",
        ]
        #expect(try handshake(source: [], destination: destination, requester: "gpu").approvals == ["0000:00:01.0/vfio": 1, "gpu": 1])
    }

    @Test func aLegacyHandshakeOf10_0HasUnnamedRequestsAndNamedApprovals() throws {
        let account = try handshake(
            source: [
                running, "migrate_pending_estimate estimate pending size 500 (pre = 500 post=0)", window,
                "migrate_pending_estimate estimate pending size 100 (pre = 100 post=0)", iterate,
                "source_return_path_thread_switchover_acked ",
                "migrate_pending_estimate estimate pending size 100 (pre = 100 post=0)", "migration_thread_low_pending 100",
            ],
            destination: [
                "loadvm_state_switchover_ack_needed Switchover ack pending num=1",
                "qemu_loadvm_state_section_startfull 37(0000:00:01.0/vfio) 0 1",
                "vfio_load_state  (VFIO_FD100) data 0xffffffffef100005", "loadvm_approve_switchover Switchover ack pending num=0",
                "migrate_send_rp_message 7: len 0",
            ])
        #expect(account.mode == .legacy)
        #expect(account.requestCount == 1)
        #expect(account.approvals == ["0000:00:01.0/vfio": 1])
        #expect(account.decision?.outstanding == 0)
        #expect(account.gatedSteps == 1)
    }

    /// One ACK line may be printed late, and must then follow; two missing, or one that never comes, is a decision without its ACK.
    @Test(arguments: [
        (requests: 1, before: 0, after: 1, true), (1, 0, 0, false), (2, 0, 2, false), (2, 1, 1, true), (2, 1, 0, false), (2, 2, 0, true),
    ])
    func anEarlyDecisionShowsTheACKItDidNotWaitFor(requests: Int, before: Int, after: Int, isRight: Bool) throws {
        let ack = "source_return_path_thread_switchover_acked switchover_ack_pending_num 0"
        let account = try handshake(
            source: [running] + (0..<requests).map { request("d\($0)") } + [
                query(total: 100, collected: requests, pending: requests), window,
            ]
                + Array(repeating: ack, count: before) + ["migration_thread_low_pending 100"] + Array(repeating: ack, count: after))
        #expect(account.decision?.outstanding == requests - before)
        #expect(account.decidedAfterAllAcks == isRight)
        #expect(account.acksCounted == before + after)
    }

    @Test(arguments: [
        // The ACK was there before anything could switch over.
        [
            "vm_state_notify running 1 reason 9 (running)", "source_return_path_thread_switchover_acked switchover_ack_pending_num 0", "W",
            "Q0",
        ],
        // There was no threshold yet.
        ["vm_state_notify running 1 reason 9 (running)", "Q1", "source_return_path_thread_switchover_acked switchover_ack_pending_num 0"],
        // A stopped guest waits for no ACK.
        ["vm_state_notify running 0 reason 4 (paused)", "W", "Q1"],
        // Too much was pending for any ACK to matter.
        ["vm_state_notify running 1 reason 9 (running)", "W", "Q1big"],
    ])
    func whatHeldNothingBackIsNotGating(lines: [String]) throws {
        let account = try handshake(
            source: lines.flatMap { (line: String) -> [String] in
                switch line {
                case "W": [window]
                case "Q0": [query(total: 100, collected: 0, pending: 0), iterate]
                case "Q1": [query(total: 100, collected: 0, pending: 1), iterate]
                case "Q1big": [query(total: 310_076, collected: 0, pending: 1), iterate]
                default: [line]
                }
            })
        #expect(!account.isGating)
    }

    /// With a threshold in force it decides in the very step whose queries show that only the ACK is missing; an ACK line that
    /// comes later is within the tolerance, so the count of queries that were held back is what gives it away.
    @Test func aSourceThatIgnoresTheACKGatesNothing() throws {
        let account = try handshake(source: [
            running, request("a"), query(total: 1 << 30, collected: 1, pending: 1), iterate, window,
            query(total: 100, collected: 0, pending: 1),
            query(total: 100, collected: 0, pending: 1, exact: 1), "migration_thread_low_pending 100",
            "source_return_path_thread_switchover_acked switchover_ack_pending_num 0",
        ])
        #expect(account.decidedAfterAllAcks == true)
        #expect(!account.isGating)
    }

    @Test func anEmptyLogSaysNothing() throws {
        let account = try handshake(source: [])
        #expect(account == Handshake())
    }
}
