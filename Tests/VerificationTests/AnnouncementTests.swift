import MigrationTrace
import Testing

@testable import Verification

/// The variant of the series in which the core tells the destination who is to answer, and no device writes a marker.
@Suite struct AnnouncementTests {
    private func judgement(announces: Bool = true, approvals: Int = 1, command: String = "(null)") throws -> Judgement {
        var script = EndlessTests.Script()
        script.section("a", block: 100, left: 0)
        script.source.append("savevm_command_send com=0xc len=8")
        script.destination += [
            "qemu_loadvm_state_section 2", "qemu_loadvm_state_section_partend 37", "vfio_load_state  (a) data 0xffffffffef100004",
            "vfio_load_state_device_data  (a) size 100 ret 0", "qemu_loadvm_state_section 8",
            "loadvm_process_command com=\(command) len=8",
        ]
        for _ in 0..<approvals {
            script.destination += ["loadvm_approve_switchover Approver a", "migrate_send_rp_message 7: len 0"]
        }
        script.destination += [
            "qemu_loadvm_state_section_command 0", "qemu_loadvm_state_section 2", "migrate_set_state new state completed",
        ]
        if approvals > 0 { script.counted() }
        script.source += [
            script.query(total: 500), "migration_thread_low_pending 500", "migrate_set_state new state device",
            script.query(total: 500).replacing("final=0", with: "final=1"), "migration_precopy_complete ", "savevm_send_switchover_start ",
            "migrate_set_state new state completed",
        ]
        var circumstances = Circumstances()
        circumstances.sourceCapability = true
        circumstances.destinationCapability = true
        circumstances.sourceTraits.announcesRequests = announces
        return try script.verifier(circumstances).judgement()
    }

    private let ofMarkers: Set<String> = ["marker-due", "approval-has-marker", "all-answered", "counts-across", "bytes-across"]

    private func broken(_ judgement: Judgement) -> Set<String> { Set(judgement.broken).intersection(ofMarkers) }

    @Test func theCommandIsTheMarker() throws {
        #expect(try broken(judgement()) == [])
        #expect(try judgement().handshake.approvals.values.reduce(0, +) == 1)
    }

    /// Requests and answers are counted as in every other release, whichever module sends them.
    @Test func countsAreStillCompared() throws {
        #expect(try broken(judgement(approvals: 0)) == ["all-answered"])
        #expect(try broken(judgement(approvals: 2)) == ["all-answered", "counts-across"])
    }

    /// In no other trace does a command that nobody knows stand for a marker, and no other command does here.
    @Test func nothingElseIsExcused() throws {
        #expect(try broken(judgement(announces: false)) == ["marker-due", "approval-has-marker", "all-answered"])
        #expect(try broken(judgement(command: "SWITCHOVER_START")).contains("approval-has-marker"))
    }

    @Test(arguments: [true, false]) func theHeaderTells(announces: Bool) {
        var header = TraceHeader()
        header.source.traits.announcesRequests = announces
        #expect(Circumstances(header).announcesRequests == announces)
        #expect(!Circumstances(TraceHeader()).announcesRequests)
    }

    /// Of several users that are no VFIO devices it is always the same one.
    @Test func theRequesterIsTheFirstByName() {
        var header = TraceHeader()
        let idstrs = ["nic", "gpu", "0000:00:02.0/vfio", "dsa", "fpga", "tpm", "qat", "npu"]
        header.source.devices = idstrs.map { TraceDevice(name: $0, idstr: $0) }
        #expect(Circumstances(header).requester == "dsa")
    }
}
