/// A device of the lab guest's driver (`harness/lab/driver`), which follows a script inside the kernel: the mock's model behind the
/// kernel's own VFIO core.
///
/// Calls go through real descriptors. The driver's knobs in sysfs tell the rest of a `ScriptedDevice`: the driver returns at once, says
/// what a call leaves to wait for, and hands out its events, so that the engine runs the same cells on it as on the mock, in virtual time.
import Glibc
import MigrationTrace
import SystemPackage

package final class KernelScriptedDevice: ScriptedDevice {
    package let name: String
    package let gates: [String]
    package var entered: ((VFIOState) -> Void)?
    package private(set) var progress = DeviceProgress(
        state: 2, queries: 0, drainedQueries: 0, drains: 0, bytesRead: 0, bytesWritten: 0, calls: 0, held: 0, holds: 0)

    private let kernel: KernelMigrationDevice
    private let knobs: String
    private let delay: DeviceDelay
    private let log: (Event) -> Void
    /// The descriptor of the knob `events`.
    private let events: Int32
    private var opened: [String] = []
    /// Data descriptors that are open.
    private var descriptors: Set<DataDescriptor> = []
    private var calls: UInt64 = 0
    private var held: UInt64 = 0
    private var holds: UInt64 = 0

    /// True if the device has the knobs of the lab guest's driver.
    package static func isOffered(by path: KernelDevicePath) -> Bool { access(path.folder + "/events", F_OK) == 0 }

    /// Calls that the kernel's VFIO core answers by itself, or takes apart: rules on them do not act as on the mock.
    package static let callsOfTheCore = Set(
        ["bind", "attach", "detach", "migration", "precopy-info-v2", "feature-probe", "set-state"])

    /// Makes the device follow a script, and opens it. What calls leave to wait for is added to `delay`; `log` receives its events.
    package init(
        name: String, path: KernelDevicePath, script: DeviceScript, delay: DeviceDelay, log: @escaping (Event) -> Void
    ) throws(KernelDevicePath.Failure) {
        (self.name, self.delay, self.log, knobs, gates) = (name, delay, log, path.folder, script.gates)
        try set(knob: "waits", of: knobs, to: "0")
        try set(knob: "defects", of: knobs, to: "none")
        try set(knob: "script", of: knobs, to: script.text)
        events = open(knobs + "/events", O_RDONLY | O_CLOEXEC)
        guard events >= 0 else { throw KernelDevicePath.Failure(description: "\(knobs)/events: \(Errno(rawValue: errno))") }
        do { kernel = try KernelMigrationDevice(name: name, path: path) } catch {
            Glibc.close(events)
            throw error
        }
        collect()
    }

    deinit { Glibc.close(events) }

    /// Closes all descriptors; the device must not be used any more.
    package func shut() {
        for descriptor in descriptors { kernel.close(descriptor) }
        descriptors = []
        kernel.shut()
    }

    // MARK: Calls

    package func migrationFlags() -> Result<UInt64, Errno> { answeredByCore("migration") { kernel.migrationFlags() } }
    package func useInfoV2() -> Result<Void, Errno> { answeredByCore("precopy-info-v2") { kernel.useInfoV2() } }
    package func probeDMALogging() -> Result<Void, Errno> { answeredByCore("feature-probe") { kernel.probeDMALogging() } }
    package func setState(_ state: VFIOState) -> Result<DataDescriptor?, Errno> {
        let result = answeredByCore("set-state") { kernel.setState(state) }
        if case .success(let descriptor?) = result { descriptors.insert(descriptor) }
        return result
    }
    package func stopCopySize() -> Result<UInt64, Errno> { during { kernel.stopCopySize() } }
    package func precopyInfo(_ descriptor: DataDescriptor) -> Result<PrecopyInfo, Errno> { during { kernel.precopyInfo(descriptor) } }
    package func reset() -> Result<Void, Errno> { during { kernel.reset() } }

    package func read(_ descriptor: DataDescriptor, into buffer: inout MutableRawSpan) -> Result<Int, Errno> {
        hearOfGates()
        let result = kernel.read(descriptor, into: &buffer)
        conclude()
        return result
    }

    package func write(_ descriptor: DataDescriptor, _ bytes: RawSpan) -> Result<Int, Errno> {
        hearOfGates()
        let result = kernel.write(descriptor, bytes)
        conclude()
        return result
    }

    package func close(_ descriptor: DataDescriptor) {
        descriptors.remove(descriptor)
        during { kernel.close(descriptor) }
    }

    private func during<Value>(_ call: () -> Value) -> Value {
        hearOfGates()
        let value = call()
        conclude()
        return value
    }

    /// A call of which the driver hears nothing, or one arc at a time: its event is made here.
    private func answeredByCore<Value>(_ call: String, _ make: () -> Result<Value, Errno>) -> Result<Value, Errno> {
        hearOfGates()
        let result = make()
        calls += 1
        let states = collect()
        log(.deviceCall(device: name, call: call, result: result.traced))
        passOn(states)
        return result
    }

    private func conclude() {
        calls += 1
        passOn(collect())
    }

    private func passOn(_ states: [VFIOState]) {
        if let entered { for state in states { entered(state) } }
    }

    // MARK: The script's inputs

    /// The device hears of the gate with its next call, as it does behind the shim.
    package func gateOpened(_ gate: String) { if gates.contains(gate) { opened.append(gate) } }

    private func hearOfGates() {
        for gate in opened { tell("gate", gate) }
        opened = []
    }

    package func hold(gate: Int, begins: Bool) {
        if begins {
            held += 1
            holds += 1
        } else {
            held -= 1
        }
        tell("hold", "\(gates[gate]) \(begins ? 1 : 0)")
        collect()
    }

    package func peerEntered(_ peer: String, _ state: VFIOState) {
        tell("peer", "\(peer) \(state.rawValue)")
        // A peer may react by entering a state itself; that is not passed on, or the two would answer each other forever.
        collect()
    }

    /// The knobs of an open device accept every name that its script has.
    private func tell(_ knob: String, _ text: String) {
        do { try set(knob: knob, of: knobs, to: text) } catch { fatalError("\(error)") }
    }

    // MARK: What the driver tells

    /// Takes what the driver has to tell since the last time; the states that were entered.
    @discardableResult
    private func collect() -> [VFIOState] {
        var states: [VFIOState] = []
        let text = told()
        var rest = text[...]
        let head = rest.prefix { $0 != UInt8(ascii: "\n") }
        rest = rest.dropFirst(head.count + 1)
        take(String(decoding: head, as: UTF8.self))
        var reader = LogReader([UInt8](rest))
        while let line = try? reader.nextEvent() {
            guard let event = line.event else { continue }
            switch event {
            // Told once for each arc; the call as a whole is told by its caller.
            case .deviceCall(_, "set-state", _): continue
            case .deviceState(_, _, let to): states.append(to)
            case .deviceReset: states.append(.running)
            default: break
            }
            log(event)
        }
        return states
    }

    /// The first line: numbers by their names.
    private func take(_ head: String) {
        let words = head.split(separator: " ")
        var numbers: [Substring: UInt64] = [:]
        for index in stride(from: 0, to: words.count - 1, by: 2) { numbers[words[index]] = UInt64(words[index + 1]) }
        precondition(numbers["lost"] == 0, "\(knobs): the driver has lost events of one call: \(head)")
        let cost = numbers["cost"] ?? 0
        let gates = UInt32(numbers["gates"] ?? 0)
        if cost != 0 || gates != 0 { delay.add(cost: cost, gates: gates, of: self) }
        progress = DeviceProgress(
            state: numbers["state"] ?? 0, queries: numbers["queries"] ?? 0, drainedQueries: numbers["drained"] ?? 0,
            drains: numbers["drains"] ?? 0, bytesRead: numbers["read"] ?? 0, bytesWritten: numbers["written"] ?? 0, calls: calls,
            held: held,
            holds: holds)
    }

    /// The knob `events`, with the name that the device has in the plan instead of the kernel's.
    private func told() -> [UInt8] {
        let text = withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { memory in
            let count = pread(events, memory.baseAddress, memory.count, 0)
            return String(decoding: UnsafeRawBufferPointer(rebasing: memory[..<max(0, count)]), as: UTF8.self)
        }
        let own = "(" + (knobs.split(separator: "/").last.map(String.init) ?? "") + ")"
        return Array(text.replacing(own, with: "(\(name))").utf8)
    }
}

/// Writes a knob of the driver.
private func set(knob: String, of folder: String, to text: String) throws(KernelDevicePath.Failure) {
    let path = "\(folder)/\(knob)"
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw KernelDevicePath.Failure(description: "\(path): \(Errno(rawValue: errno))") }
    defer { close(descriptor) }
    var text = text
    let written = text.withUTF8 { write(descriptor, $0.baseAddress, $0.count) }
    guard written == text.utf8.count else {
        throw KernelDevicePath.Failure(description: "\(path): the driver refuses '\(text.prefix(200))': \(Errno(rawValue: errno))")
    }
}
