/// How a state is set when the device refuses: recover state, reset, end of the process.
import MigrationTrace
import Testing
import VFIO

private let able = "ackmatrix-device 1\nhas precopy p2p reinit\n"

private func device(_ rules: String, _ log: @escaping (Event) -> Void = { _ in }) throws -> MockMigrationDevice {
    MockMigrationDevice(name: "v0", script: try DeviceScript(able + rules, file: "v0"), log: log)
}

@Suite struct AssumedDeviceStateTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        var rules = ""
        let recover: VFIOState
        var kind: StateRefusal.Kind?
        var text = ""
        /// Assumed in the end, and what the device is in by its uAPI number.
        let state: VFIOState
        let device: UInt64
        let events: [String]
        var testDescription: String { name }
    }

    private static let toStopCopy = "vfio_migration_set_state  (v0) new state STOP_COPY, recover state"

    @Test(arguments: [
        Case(
            name: "set", recover: .error, state: .stopCopy, device: 3,
            events: ["\(toStopCopy) ERROR", "vfio_migration_set_device_state  (v0) state STOP_COPY"]),
        Case(
            name: "refused, reset", rules: "on state STOP_COPY do fail EIO\n", recover: .error, kind: .recovered,
            text: "v0: Failed setting device state to STOP_COPY. Recover state is ERROR. Resetting device: Input/output error",
            state: .running, device: 2, events: ["\(toStopCopy) ERROR", "vfio_migration_set_device_state  (v0) state RUNNING"]),
        Case(
            name: "refused, recovered", rules: "on state STOP_COPY do fail EBUSY\n", recover: .stop, kind: .recovered,
            text: "v0: Failed setting device state to STOP_COPY. Setting device in recover state STOP: Device or resource busy",
            state: .stop, device: 1, events: ["\(toStopCopy) STOP", "vfio_migration_set_device_state  (v0) state STOP"]),
        Case(
            name: "refused, recover state refused, reset", rules: "on call set-state when=2.. do fail EIO\n", recover: .stop,
            kind: .recovered,
            text: "v0: Failed setting device state to STOP_COPY. Setting device in recover state STOP: Input/output error",
            state: .running, device: 2, events: ["\(toStopCopy) STOP", "vfio_migration_set_device_state  (v0) state RUNNING"]),
        Case(
            name: "refused, reset refused", rules: "on call set-state when=2.. do fail EIO\non call reset do fail EBUSY\n", recover: .error,
            kind: .resetFailed, text: "v0: Failed resetting device, err: Device or resource busy", state: .preCopy, device: 6,
            events: ["\(toStopCopy) ERROR"]),
        Case(
            name: "recover state refused, reset refused", rules: "on call set-state when=2.. do fail EIO\non call reset do fail EBUSY\n",
            recover: .running, kind: .resetFailed, text: "v0: Failed resetting device, err: Device or resource busy", state: .preCopy,
            device: 6, events: ["\(toStopCopy) RUNNING"]),
    ])
    func aRefusalLeadsTo(_ now: Case) throws {
        let device = try device(now.rules)
        var assumed = AssumedDeviceState(device, name: "v0")
        try assumed.set(.preCopy, recover: .running) { _ in }
        #expect(assumed.isInPrecopy)
        let session = assumed.session
        #expect(session != nil)
        var events: [String] = []
        do {
            try assumed.set(.stopCopy, recover: now.recover) { events.append($0.line) }
            #expect(now.kind == nil)
        } catch {
            #expect(error.kind == now.kind)
            #expect(error.text == now.text)
        }
        #expect(events == now.events)
        #expect(assumed.state == now.state)
        #expect(device.progress.state == now.device)
        // A session stays open until it is closed, whatever the device does.
        #expect(assumed.session == session)
    }

    @Test func aStateTakenToBeSetIsNotSetAgain() throws {
        var calls = 0
        let device = try device("") { _ in calls += 1 }
        var assumed = AssumedDeviceState(device, name: "v0")
        let before = calls
        var events: [String] = []
        try assumed.set(.running, recover: .error) { events.append($0.line) }
        #expect(events == ["vfio_migration_set_state  (v0) new state RUNNING, recover state ERROR"])
        #expect(calls == before)
    }

    @Test func aDeviceThatWasResetBehindItIsOutOfSync() throws {
        var lines: [String] = []
        let device = try device("") { lines.append($0.line) }
        var assumed = AssumedDeviceState(device, name: "v0")
        try assumed.set(.preCopy, recover: .running) { _ in }
        _ = device.reset()
        var events: [String] = []
        let refusal = #expect(throws: StateRefusal.self) {
            try assumed.set(.preCopyP2P, recover: .error) { events.append($0.line) }
        }
        #expect(refusal?.kind == .outOfSync && refusal?.text == "v0: data_fd out of sync" && refusal?.errno == 9)
        #expect(events.last == "vfio_migration_set_device_state  (v0) state PRE_COPY_P2P")
        #expect(assumed.state == .preCopyP2P)
        #expect(assumed.session == DataSession(number: 1))
        #expect(lines.last == "device_call  (v0) data-close ret 0")
    }

    @Test func costsAndGatesAddUp() throws {
        let device = try device(
            "cost set-state 5us\ncost reset 11us\non call set-state do hold a\non call reset do hold b\non call set-state do fail EIO\n")
        var assumed = AssumedDeviceState(device, name: "v0")
        let reply = try #require(assumed.begin(.preCopy, recover: .stop) { _ in })
        #expect(reply.cost == 21_000)
        #expect(reply.gates == 0b11)
        // Until the calls return, the state is as before.
        #expect(assumed.state == .running)
        #expect(throws: StateRefusal.self) { try assumed.end { _ in } }
        #expect(assumed.state == .running)
        #expect(assumed.session == nil)
    }
}
