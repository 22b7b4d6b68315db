import MigrationTrace
import TestSupport
import Testing

@testable import Verification

/// The numbers of each device, from a source's lines.
@Suite struct DeviceMeasuresTests {
    private func measures(isLegacy: Bool = false, _ lines: [(Int64?, Event)]) -> DeviceMeasures {
        var measures = DeviceMeasures(isLegacy: isLegacy)
        for (time, event) in lines { measures.handle(event, at: time) }
        return measures
    }

    private func query(_ device: String, _ initial: UInt64, reinit: Bool = false) -> Event {
        .vfioQueryPrecopySize(device: device, initial: initial, dirty: 0, reinit: reinit, result: 0)
    }

    private func pending(_ device: String, requestsAck: Bool) -> Event {
        var pending = DevicePending()
        (pending.device, pending.requestsAck) = (device, requestsAck)
        return .vfioStatePending(pending)
    }

    /// Two devices, of which the second re-initialises: markers are answered in their order.
    @Test func theTimeFromAMarkerToItsACK() {
        let found = measures([
            (0, .migrateSetState(.setup)), (1, query("a", 10)), (2, query("b", 20)), (3, .vfioSendInitDataFlag(device: "a")),
            (5, .vfioSendInitDataFlag(device: "b")), (9, .sourceReturnPathThreadSwitchoverAcked(pending: 1)),
            (10, .sourceReturnPathThreadSwitchoverAcked(pending: 0)), (11, query("b", 8, reinit: true)),
            (12, pending("b", requestsAck: true)), (12, pending("a", requestsAck: false)), (13, .vfioSendInitDataFlag(device: "b")),
            (20, .sourceReturnPathThreadSwitchoverAcked(pending: 0)),
        ])
        #expect(found.devices.map(\.name) == ["a", "b"])
        #expect(found.devices.map(\.markerToACK) == [[6], [5, 7]])
        #expect(found.devices.map(\.reinits) == [0, 1])
        #expect(found.devices.map(\.requests) == [0, 1])
        #expect(found.devices.map(\.queries) == [1, 2])
    }

    @Test func oneLegacyACKAnswersAllMarkers() {
        let found = measures(
            isLegacy: true,
            [
                (1, .vfioSendInitDataFlag(device: "a")), (2, .vfioSendInitDataFlag(device: "b")),
                (9, .sourceReturnPathThreadSwitchoverAcked(pending: 0)),
            ])
        #expect(found.devices.map(\.markerToACK) == [[8], [7]])
    }

    @Test func aLineWithoutATimeGivesNone() {
        let found = measures([(nil, .vfioSendInitDataFlag(device: "a")), (9, .sourceReturnPathThreadSwitchoverAcked(pending: 0))])
        #expect(found.devices.map(\.markers) == [1])
        #expect(found.devices.map(\.markerToACK) == [[]])
    }

    @Test func whatIsUnreadAtStopCopy() {
        let found = measures([
            (1, .vfioSaveBlock(device: "a", size: 100)), (2, .vfioSaveIterate(device: "a", initial: 7, dirty: 0)),
            (3, .vmstateDowntimeCheckpoint("src-downtime-start")), (4, .vfioMigrationSetState(device: "a", .stopCopy, recover: .error)),
            (5, .vfioSaveBlock(device: "a", size: 30)), (6, .vfioSaveBlock(device: "a", size: 0)),
            (8, .vmstateDowntimeCheckpoint("src-downtime-end")),
        ])
        #expect(found.devices.map(\.initialLeft) == [7])
        #expect(found.devices.map(\.precopyBytes) == [100])
        #expect(found.devices.map(\.stopCopyBytes) == [30])
        #expect(found.sourceDowntime == 5)
        // The next migration begins anew.
        #expect(measures([(1, .vfioSendInitDataFlag(device: "a")), (2, .migrateSetState(.setup))]).devices.isEmpty)
    }

    @Test func aRealLog() throws {
        let found = try DeviceMeasures(log: TestCorpus.path("qemu") + "/vfio-new-2.src.log", isLegacy: false)
        #expect(found.devices.count == 2)
        for device in found.devices {
            #expect(device.markers == device.markerToACK.count && device.markers > 0, "\(device)")
            #expect(device.markerToACK.allSatisfy { $0 >= 0 })
            #expect(device.initialLeft == 0)
        }
    }
}
