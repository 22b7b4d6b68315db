/// Data on several channels: what a device was given there is held against its marker, and against what the source gave.
import MigrationTrace
import Testing

@testable import Verification

@Suite struct ChannelTests {
    /// A buffer that came on a channel before the approval, and is written only after it.
    @Test func aMarkerThatOvertakesItsDataOnAChannel() throws {
        let recording = try Recording.cell("multifd")
        for buffer in try recording.some(.destination, "vfio_load_state_device_buffer_incoming") {
            let device = try #require(recording.lines[.destination]![buffer - 1].split(separator: "(").last?.split(separator: ")").first)
            let marker = try #require(recording.number(.destination, "(\(device)) data 0xffffffffef100005"))
            let altered = recording.moving(.destination, buffer, before: marker)
            let approval = try #require(altered.number(.destination, "loadvm_approve_switchover Approver \(device)"))
            #expect(try altered.judgement().breaks(.approvalAfterData, at: approval, of: .destination), "buffer at \(buffer)")
            // The other device's marker says nothing of this one's data.
            let other = device == "v0" ? "v1" : "v0"
            let alone = try #require(altered.number(.destination, "loadvm_approve_switchover Approver \(other)"))
            #expect(try !altered.judgement().breaks(.approvalAfterData, at: alone, of: .destination))
        }
    }

    /// A destination that completes without a part of the data breaks a rule, whichever side dropped the part.
    @Test(arguments: ["multifd", "libvirt", "two-devices", "legacy-10.0-11.1"])
    func whatTheSourceGaveIsWritten(name: String) throws {
        let recording = try Recording.cell(name)
        let completed = try #require(recording.number(.destination, "migrate_set_state new state completed"))
        for write in try recording.some(.destinationDevices, "device_write")
        where !recording.lines[.destinationDevices]![write - 1].contains("ret -") {
            let judgement = try recording.removing(.destinationDevices, write).judgement()
            #expect(judgement.breaks(.allLoaded, at: completed, of: .destination), "write at \(write)")
        }
        // What is missing from a log is not missing from the device.
        let last = try #require(recording.numbers(.destinationDevices, "device_write").last)
        let gap = recording.removing(.destinationDevices, last).inserting(.destinationDevices, "# lines left out", before: last)
        #expect(try !gap.judgement().broken.contains("all-loaded"))
    }
}
