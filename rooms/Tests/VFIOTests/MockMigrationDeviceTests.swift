/// The mock backend against the model's own script: what each call answers, costs, holds and logs.
import MigrationTrace
import Testing
import VFIO

/// A device of its own log, migrated by hand.
private final class Rig {
    var lines: [String] = []
    var device: MockMigrationDevice!

    init(_ script: String, name: String = "v0") throws {
        device = MockMigrationDevice(name: name, script: try DeviceScript("ackmatrix-device 1\n" + script, file: name)) { [unowned self] in
            lines.append($0.line)
        }
        _ = device.useInfoV2()
    }

    func enter(_ state: VFIOState) throws -> DataSession {
        let reply = device.setState(state)
        #expect(reply.errno == 0)
        let session = try #require(reply.value)
        return try #require(session)
    }

    /// The log since the mark.
    func since(_ mark: Int) -> [String] { Array(lines[mark...]) }
}

private let able = "has precopy p2p reinit\ninitial 16K\nstop-copy 32K\n"

/// A whole migration of one device's data into another, and what was moved.
private func migrate(_ source: Rig, _ destination: Rig) throws -> [Int] {
    var sizes: [Int] = []
    func move(_ from: DataSession, _ to: DataSession) throws {
        while let bytes = source.device.read(from, most: 12 << 10).value, !bytes.isEmpty {
            sizes.append(bytes.count)
            var rest = bytes[...]
            while !rest.isEmpty { rest = rest.dropFirst(try #require(destination.device.write(to, rest).value)) }
        }
    }
    let from = try source.enter(.preCopy)
    let to = try destination.enter(.resuming)
    try move(from, to)
    #expect(source.device.precopyInfo(from).value == PrecopyInfo(initial: 0, dirty: 0, reinit: false))
    for state in [VFIOState.preCopyP2P, .stopCopy] {
        // A session that goes on is not opened again.
        #expect(source.device.setState(state).value == .some(nil))
    }
    try move(from, to)
    _ = destination.device.setState(.running)
    _ = source.device.setState(.stop)
    source.device.closeData(from)
    destination.device.closeData(to)
    return sizes
}

@Suite struct MockMigrationDeviceTests {
    @Test(arguments: [
        ("has stop-copy\n", UInt64(1), Int32(22), Int32(0)),
        ("has precopy\n", 5, 0, 0),
        ("has precopy p2p\ninfo-v2 no\n", 7, 25, 0),
        ("has precopy p2p reinit\ndirty-tracking no\n", 7, 0, 25),
        ("has p2p\non call migration do fail EIO\n", 0, 22, 0),
    ])
    func abilitiesAreAnswered(script: String, flags: UInt64, infoV2: Int32, dirtyTracking: Int32) throws {
        let rig = try Rig(script)
        #expect(rig.device.migrationFlags().value == (flags == 0 ? nil : flags))
        #expect(rig.device.useInfoV2().errno == infoV2)
        #expect(rig.device.probeDMALogging().errno == dirtyTracking)
    }

    @Test func dataArrivesWholeAndTwoDevicesOfOneScriptLogTheSame() throws {
        let script = able + "rate read 1M/s\non query 1 do reinit 4K\ncost set-state 3us\n"
        let runs = try (0..<2).map { _ in
            let (source, destination) = (try Rig(able), try Rig(able))
            #expect(try migrate(source, destination) == [12 << 10, 4 << 10, 12 << 10, 12 << 10, 8 << 10])
            #expect(destination.device.progress.bytesWritten == 48 << 10)
            #expect(destination.lines.contains("device_loaded  (v0) final size 32768, total 49152"))
            let scripted = try Rig(script)
            let session = try scripted.enter(.preCopy)
            for _ in 0..<5 { _ = (scripted.device.read(session, most: 4096), scripted.device.precopyInfo(session)) }
            return source.lines + destination.lines + scripted.lines
        }
        #expect(runs[0] == runs[1])
        #expect(runs[0].contains("device_precopy_info  (v0) init 4096, dirty 0, reinit 1, ret 0"))
        #expect(runs[0].first == "device_open  (v0) mig_flags 0x7, reinit 1")
    }

    @Test func readsHaveExactlyWhatIsThere() throws {
        let rig = try Rig(able + "on read 10K do short 1000\non call read when=4 do fail EAGAIN\n")
        let session = try rig.enter(.preCopy)
        let sizes = (0..<3).map { _ in rig.device.read(session, most: 6000).value?.count }
        #expect(sizes == [6000, 1000, 6000])
        let failed = rig.device.read(session, most: 6000)
        #expect(failed.value == nil && failed.errno == 11)
        #expect(rig.device.read(session, most: 6000).value?.count == 16384 - 13000)
        #expect(rig.device.read(session, most: 6000).errno == 42)
        let patient = try Rig(able + "drained 0\n")
        let other = try patient.enter(.preCopy)
        #expect(patient.device.read(other, most: 1 << 20).value?.count == 16384)
        #expect(patient.device.read(other, most: 1 << 20).value == [])
    }

    @Test func costsAndGatesAreTold() throws {
        let rig = try Rig(able + "rate read 1M/s\ncost data-size 7us\non read 16K do hold load\non call data-size when=2 do hold size\n")
        #expect(rig.device.gates == ["load", "size"])
        #expect(rig.device.stopCopySize().cost == 7000)
        let size = rig.device.stopCopySize()
        #expect(size.gates == 0b10 && size.value == 32 << 10)
        let session = try rig.enter(.preCopy)
        let reply = rig.device.read(session, most: 1 << 20)
        #expect(reply.gates == 0b01)
        #expect(reply.cost == 15_625_000)
        rig.device.hold(gate: 0, begins: true)
        #expect(rig.device.progress.held == 1)
        rig.device.hold(gate: 0, begins: false)
        #expect(rig.device.progress.held == 0 && rig.device.progress.holds == 1)
        #expect(rig.lines.suffix(2) == ["device_hold_begin  (v0) gate load", "device_hold_end  (v0) gate load"])
    }

    @Test func gatesAndPeersAreHeardOf() throws {
        let rig = try Rig(able + "on gate go do reinit 4K\non peer v1 STOP_COPY do error\n")
        let session = try rig.enter(.preCopy)
        rig.device.gateOpened("elsewhere")
        #expect(rig.device.precopyInfo(session).value?.reinit == false)
        rig.device.gateOpened("go")
        #expect(rig.device.precopyInfo(session).value?.reinit == true)
        rig.device.peerEntered("v2", .stopCopy)
        #expect(rig.device.progress.isInPrecopy)
        rig.device.peerEntered("v1", .stopCopy)
        #expect(rig.device.setState(.stopCopy).errno == 22)
    }

    @Test func aGateIsNoticedWithTheNextCall() throws {
        let rig = try Rig(able + "on gate b do error\non gate a do estimate dirty 1K\n")
        let session = try rig.enter(.preCopy)
        var entered: [VFIOState] = []
        rig.device.entered = { entered.append($0) }
        let mark = rig.lines.count
        rig.device.gateOpened("a")
        rig.device.gateOpened("b")
        #expect(rig.lines.count == mark && rig.device.progress.isInPrecopy)
        #expect(rig.device.precopyInfo(session).errno == 19)
        #expect(
            rig.since(mark) == [
                "device_injected  (v0) line 5, action error, value 0", "device_state  (v0) from PRE_COPY to ERROR",
                "device_session_end  (v0) session 1", "device_injected  (v0) line 6, action estimate-dirty, value 1024",
                "device_precopy_info  (v0) init 0, dirty 0, reinit 0, ret -19",
            ])
        #expect(entered == [.error])
    }

    @Test func statesEnteredArePassedOnInOrder() throws {
        let rig = try Rig(able)
        var entered: [VFIOState] = []
        rig.device.entered = { entered.append($0) }
        _ = try rig.enter(.stopCopy)
        #expect(entered == [.runningP2P, .stop, .stopCopy])
        _ = rig.device.reset()
        #expect(entered.last == .running)
    }

    @Test(arguments: DeviceCallName.allCases)
    func aRefusedCallDoesNotReachTheDevice(call: DeviceCallName) throws {
        let rig = try Rig(able)
        let session = try rig.enter(.preCopy)
        let state = rig.device.progress.state
        rig.device.refuse = { $0 == call ? 5 : nil }
        let mark = rig.lines.count
        let device = rig.device!
        let errno: Int32 =
            switch call {
            case .migration: device.migrationFlags().errno
            case .precopyInfoV2: device.useInfoV2().errno
            case .featureProbe: device.probeDMALogging().errno
            case .setState: device.setState(.stopCopy).errno
            case .dataSize: device.stopCopySize().errno
            case .precopyInfo: device.precopyInfo(session).errno
            case .read: device.read(session, most: 100).errno
            case .write: device.write(session, [1, 2, 3]).errno
            case .reset: device.reset().errno
            }
        #expect(errno == 5)
        #expect(rig.device.progress.state == state && rig.device.progress.bytesRead == 0)
        #expect(rig.since(mark).count == 1)
        #expect(rig.lines.last?.hasSuffix("ret -5") == true, "\(rig.lines.last ?? "")")
        rig.device.refuse = nil
        #expect(rig.device.read(session, most: 100).value?.count == 100)
    }

    @Test func wrongSessionsAreRefused() throws {
        let rig = try Rig(able)
        let session = try rig.enter(.preCopy)
        #expect(rig.device.write(session, [1]).errno == 9)
        #expect(rig.device.read(DataSession(number: 9), most: 10).errno == 19)
        _ = rig.device.reset()
        #expect(rig.device.precopyInfo(session).errno == 19)
        #expect(rig.device.write(session, []).errno == 19)
    }
}
