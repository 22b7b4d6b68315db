/// The mock backend against the model's own script: what each call answers, costs, holds and logs.
import MigrationTrace
import SystemPackage
import Testing
import VFIO

/// A device with a log, migrated by hand.
private final class Rig {
    var lines: [String] = []
    var device: MockMigrationDevice!
    let delay = DeviceDelay()
    /// The call that fails with EIO before it reaches the device, and the state that the device was in when the call was made.
    var failing: DeviceCallName?
    var failedIn: VFIOState?

    init(_ script: String, name: String = "v0") throws {
        device = MockMigrationDevice(
            name: name, script: try DeviceScript("ackmatrix-device 1\n" + script, file: name), delay: delay,
            fault: { [unowned self] call, state in
                guard call == failing else { return nil }
                failedIn = state
                return .ioError
            }, log: { [unowned self] in lines.append($0.line) })
        _ = device.useInfoV2()
    }

    func enter(_ state: VFIOState) throws -> DataDescriptor { try #require(try device.setState(state).get()) }

    /// Reads up to `most` bytes into a buffer of that size.
    func read(_ descriptor: DataDescriptor, most: Int) -> Result<[UInt8], Errno> {
        var buffer = [UInt8](repeating: 0xee, count: most)
        var span = buffer.mutableSpan
        var bytes = span.mutableBytes
        let result = device.read(descriptor, into: &bytes)
        // What the device did not write is as it was.
        #expect(buffer[(result.value ?? 0)...].allSatisfy { $0 == 0xee })
        return result.map { Array(buffer[..<$0]) }
    }

    func write(_ descriptor: DataDescriptor, _ bytes: [UInt8]) -> Result<Int, Errno> { device.write(descriptor, bytes.span.bytes) }

    /// The log since the mark.
    func since(_ mark: Int) -> [String] { Array(lines[mark...]) }
}

extension Result where Failure == Errno {
    fileprivate var errno: Errno? { if case .failure(let errno) = self { errno } else { nil } }
}

private let able = "has precopy p2p reinit\ninitial 16K\nstop-copy 32K\n"

/// A whole migration of one device's data into another, and what was moved.
private func migrate(_ source: Rig, _ destination: Rig) throws -> [Int] {
    var sizes: [Int] = []
    func move(_ from: DataDescriptor, _ to: DataDescriptor) throws {
        while let bytes = source.read(from, most: 12 << 10).value, !bytes.isEmpty {
            sizes.append(bytes.count)
            var rest = bytes[...]
            while !rest.isEmpty { rest = rest.dropFirst(try destination.write(to, Array(rest)).get()) }
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
    source.device.close(from)
    destination.device.close(to)
    return sizes
}

@Suite struct MockMigrationDeviceTests {
    @Test(
        arguments: [
            ("has stop-copy\n", UInt64(1), Errno.invalidArgument, nil),
            ("has precopy\n", 5, nil, nil),
            ("has precopy p2p\ninfo-v2 no\n", 7, .inappropriateIOCTLForDevice, nil),
            ("has precopy p2p reinit\ndirty-tracking no\n", 7, nil, .inappropriateIOCTLForDevice),
            ("has p2p\non call migration do fail EIO\n", 0, .invalidArgument, nil),
        ] as [(String, UInt64, Errno?, Errno?)])
    func abilitiesAreAnswered(script: String, flags: UInt64, infoV2: Errno?, dirtyTracking: Errno?) throws {
        let rig = try Rig(script)
        #expect(rig.device.migrationFlags() == (flags == 0 ? .failure(.ioError) : .success(flags)))
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
            for _ in 0..<5 { _ = (scripted.read(session, most: 4096), scripted.device.precopyInfo(session)) }
            return source.lines + destination.lines + scripted.lines
        }
        #expect(runs[0] == runs[1])
        #expect(runs[0].contains("device_precopy_info  (v0) init 4096, dirty 0, reinit 1, ret 0"))
        #expect(runs[0].first == "device_open  (v0) mig_flags 0x7, reinit 1")
    }

    @Test func readsHaveExactlyWhatIsThere() throws {
        let rig = try Rig(able + "on read 10K do short 1000\non call read when=4 do fail EAGAIN\n")
        let session = try rig.enter(.preCopy)
        let sizes = (0..<3).map { _ in rig.read(session, most: 6000).value?.count }
        #expect(sizes == [6000, 1000, 6000])
        #expect(rig.read(session, most: 6000) == .failure(.resourceTemporarilyUnavailable))
        #expect(rig.read(session, most: 6000).value?.count == 16384 - 13000)
        #expect(rig.read(session, most: 6000) == .failure(.noMessage))
        let patient = try Rig(able + "drained 0\n")
        let other = try patient.enter(.preCopy)
        #expect(patient.read(other, most: 1 << 20).value?.count == 16384)
        #expect(patient.read(other, most: 1 << 20) == .success([]))
    }

    @Test func costsAndGatesAreTold() throws {
        let rig = try Rig(able + "rate read 1M/s\ncost data-size 7us\non read 16K do hold load\non call data-size when=2 do hold size\n")
        #expect(rig.device.gates == ["load", "size"])
        #expect(rig.device.stopCopySize() == .success(32 << 10))
        #expect(rig.delay.cost == 7000 && rig.delay.hold == nil)
        #expect(rig.device.stopCopySize() == .success(32 << 10))
        #expect(rig.delay.cost == 14000 && rig.delay.hold?.gates == 0b10)
        rig.delay.clear()
        let session = try rig.enter(.preCopy)
        #expect(rig.delay.isNone)
        _ = rig.read(session, most: 1 << 20)
        #expect(rig.delay.hold?.gates == 0b01 && rig.delay.hold?.device === rig.device)
        #expect(rig.delay.cost == 15_625_000)
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
        #expect(rig.device.setState(.stopCopy) == .failure(.invalidArgument))
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
        #expect(rig.device.precopyInfo(session) == .failure(.operationNotSupportedByDevice))
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
    func anInjectedFaultKeepsTheCallFromTheDevice(call: DeviceCallName) throws {
        let rig = try Rig(able + "cost \(call.rawValue) 9us\non call \(call.rawValue) when=3 do fail EBUSY\n")
        let session = try rig.enter(.preCopy)
        rig.delay.clear()
        let state = rig.device.progress.state
        rig.failing = call
        let mark = rig.lines.count
        let device = rig.device!
        let errno =
            switch call {
            case .migration: device.migrationFlags().errno
            case .precopyInfoV2: device.useInfoV2().errno
            case .featureProbe: device.probeDMALogging().errno
            case .setState: device.setState(.stopCopy).errno
            case .dataSize: device.stopCopySize().errno
            case .precopyInfo: device.precopyInfo(session).errno
            case .read: rig.read(session, most: 100).errno
            case .write: rig.write(session, [1, 2, 3]).errno
            case .reset: device.reset().errno
            }
        #expect(errno == .ioError)
        #expect(rig.failedIn == .preCopy)
        #expect(rig.delay.isNone)
        #expect(rig.device.progress.state == state && rig.device.progress.bytesRead == 0)
        #expect(rig.since(mark).count == 2)
        #expect(rig.since(mark).first == "device_injected  (v0) line 0, action fail, value 5")
        #expect(rig.lines.last?.hasSuffix("ret -5") == true, "\(rig.lines.last ?? "")")
        rig.failing = nil
        #expect(rig.read(session, most: 100).value?.count == 100)
    }

    @Test func wrongSessionsAreRefused() throws {
        let rig = try Rig(able)
        let session = try rig.enter(.preCopy)
        #expect(rig.write(session, [1]) == .failure(.badFileDescriptor))
        #expect(rig.read(DataDescriptor(number: 9), most: 10) == .failure(.operationNotSupportedByDevice))
        _ = rig.device.reset()
        #expect(rig.device.precopyInfo(session) == .failure(.operationNotSupportedByDevice))
        #expect(rig.write(session, []) == .failure(.operationNotSupportedByDevice))
    }
}
