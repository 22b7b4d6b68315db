/// A QEMU process as a side: its files, its command line, its start and its end.
import Foundation
import Glibc
import Plan
import Subprocess
import Synchronization
import SystemPackage
import VFIO

/// The line of JSON that a QMP command is sent as.
package func qmpLine(_ command: String, _ arguments: JSONValue?) throws -> String {
    var object: [String: JSONValue] = ["execute": .string(command)]
    object["arguments"] = arguments
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(JSONValue.object(object)), as: UTF8.self)
}

/// The files of a side in its folder.
package struct SideFiles: Hashable, Sendable {
    package let folder: String

    package init(folder: String) { self.folder = folder }

    package var log: String { folder + "/qemu.log" }
    package var standardError: String { folder + "/stderr" }
    package var deviceLog: String { folder + "/device.log" }
    package var commandLine: String { folder + "/command" }
    /// The QMP commands that the side was sent, one per line.
    package var commands: String { folder + "/commands" }
    var monitor: String { folder + "/qmp" }
    package var board: String { folder + "/board" }
    var devices: String { folder + "/devices" }
    var traceEvents: String { folder + "/events" }
    func firmware(_ firmware: Firmware) -> String { folder + "/" + firmware.file }
    var filling: String { folder + "/filling" }
    func script(_ device: String) -> String { "\(device).script" }
    /// Links to the shim, and to the folder of unpacked packages that QEMU is in.
    var shim: String { folder + "/shim.so" }
    var root: String { folder + "/root" }
}

private let iommufdDescriptor = 99

/// A running QEMU process. `withQEMU` starts it and ends it after its closure has returned.
package final class QEMUSide: Sendable {
    package let role: Role
    package let configuration: SideConfiguration
    package let files: SideFiles
    package let monitor: QMPConnection
    /// Gates and device progress; nil on a side without devices.
    package let board: GateBoard?
    private let abandoned = Mutex(false)
    private let halted = Mutex(false)
    private let killed = Mutex(false)
    private let process: ProcessIdentifier

    init(
        role: Role, configuration: SideConfiguration, files: SideFiles, monitor: QMPConnection, board: GateBoard?,
        process: ProcessIdentifier
    ) {
        self.process = process
        self.role = role
        self.configuration = configuration
        self.files = files
        self.monitor = monitor
        self.board = board
    }

    /// Stops the process (SIGSTOP) or resumes it (SIGCONT). It holds a side without devices, as a gate holds a device call.
    package func halt(_ isHalted: Bool) {
        halted.withLock { $0 = isHalted }
        Glibc.kill(-process.value, isHalted ? SIGSTOP : SIGCONT)
    }

    /// What a side is that lives, that nothing holds, and that has given no answer to a query; nil if the process has ended, if the harness
    /// has halted it, or if a held device call blocks it.
    func silence() async -> ProcessEnd? {
        guard !halted.withLock({ $0 }), await !hasEnded(process.processDescriptor) else { return nil }
        let isHeld = configuration.devices.contains { device in (try? progress(of: device.name))?.map { $0.held > 0 } == true }
        guard !isHeld else { return nil }
        return await ProcessEnd(
            role: role, binary: configuration.binary.name,
            how: .silent(seconds: monitor.secondsOfSilence, isStopped: isStopped(process.value)), hasAnswered: true,
            lastWords: lastWords(of: files.standardError))
    }

    /// Ends the process at once, as a crash does.
    package func kill() {
        killed.withLock { $0 = true }
        Glibc.kill(-process.value, SIGKILL)
    }
    package var wasKilled: Bool { killed.withLock { $0 } }

    /// Limits the process to `free` more descriptors; nil restores the limit that it was started with.
    func limitDescriptors(free: Int?) async throws {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            throw Environment("getrlimit: \(String(cString: strerror(errno)))")
        }
        var number = Int(limit.rlim_cur)
        if let free {
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.value)/fd").compactMap { Int($0) }
            // A new descriptor gets the lowest free number, and the limit applies to the number.
            number = (0...).lazy.filter { !open.contains($0) }.dropFirst(free).first { _ in true } ?? number
        }
        // Only prlimit(2) sets another process's limit, and Swift's Glibc does not have it.
        let result = try await run(
            .name("prlimit"), arguments: ["--pid", "\(process.value)", "--nofile=\(number):"], output: .discarded,
            error: .string(limit: 4096))
        guard result.terminationStatus.isSuccess else {
            throw Environment("prlimit: \(result.standardError): install util-linux, or deselect the cells that limit descriptors")
        }
    }

    /// Limits the process to almost no further memory: the kernel kills it when it allocates more.
    func limitMemory() throws {
        killed.withLock { $0 = true }
        try MemoryGroup.make(for: process.value)
    }

    /// Stops the process, which is then killed with its gates as they are: no held call goes on, and no effect of the other side's end is
    /// logged.
    func abandon() {
        abandoned.withLock { $0 = true }
        halt(true)
    }
    var isAbandoned: Bool { abandoned.withLock { $0 } }

    /// Executes a command. Throws `SideRefusal`, which names the side, if QEMU refuses it.
    @discardableResult
    package func execute(_ command: String, _ arguments: JSONValue? = nil, deadline: Deadline = .after(seconds: 10)) async throws
        -> JSONValue
    {
        try note(command, arguments)
        do {
            return try await monitor.execute(command, arguments, deadline: deadline)
        } catch QMPError.refused(let command, _, let text) {
            throw SideRefusal(role: role, binary: configuration.binary.name, command: command, text: text)
        }
    }

    /// Sends a command and does not await its answer.
    func request(_ command: String, _ arguments: JSONValue? = nil) async throws {
        try note(command, arguments)
        try await monitor.request(command, arguments, deadline: .after(seconds: 10))
    }

    /// Executes a command that must be refused with an error that contains these words.
    func expectRefusal(of command: String, _ arguments: JSONValue?, words: String) async throws {
        do {
            try await execute(command, arguments)
        } catch let refusal as SideRefusal {
            guard refusal.text.contains(words) else {
                throw SideError(
                    "\(role.rawValue) \(configuration.binary.name): expected \(command) to be refused with '\(words)', "
                        + "found: \(refusal.text)"
                )
            }
            return
        }
        throw SideError(
            "\(role.rawValue) \(configuration.binary.name): expected \(command) to be refused with '\(words)', found it accepted")
    }

    private func note(_ command: String, _ arguments: JSONValue?) throws {
        let line = try qmpLine(command, arguments) + "\n"
        let file = try FileDescriptor.open(
            files.commands, .writeOnly, options: [.create, .append, .closeOnExec], permissions: [.ownerReadWrite])
        _ = try file.closeAfter { try file.writeAll(line.utf8) }
    }

    /// Sets the capabilities and parameters, and returns all capabilities as QEMU reports them. Throws if QEMU refuses one or reports
    /// another value than was set.
    package func configure() async throws -> [String: Bool] {
        for (command, arguments) in configuration.settingCommands { try await execute(command, arguments) }
        var inForce: [String: Bool] = [:]
        for entry in try await execute("query-migrate-capabilities").array ?? [] {
            if let name = entry["capability"]?.string { inForce[name] = entry["state"]?.bool }
        }
        for (name, value) in configuration.capabilities where inForce[name] != value {
            throw SideError(
                "\(role.rawValue) \(configuration.binary.name): expected capability \(name) \(value ? "on" : "off") after setting it, "
                    + "found " + (inForce[name].map { $0 ? "on" : "off" } ?? "no such capability"))
        }
        return inForce
    }
}

/// The command line that a side is started with, without the program; empty for a side that no command starts, such as an engine.
package func commandLine(_ configuration: SideConfiguration, role: Role) -> [String] {
    switch configuration.binary {
    case .qemu: qemuArguments(configuration, role: role)
    case .engine: []
    }
}

/// QEMU's arguments for a side. QEMU runs in its folder and calls it `.`, so that the arguments do not depend on the folder's path.
/// `monitor` is QMP's character device; nil: the socket that the driver listens on.
package func qemuArguments(_ configuration: SideConfiguration, role: Role, monitor: String? = nil) -> [String] {
    let files = SideFiles(folder: ".")
    var arguments = [
        "-M", configuration.machine, "-accel", "tcg", "-m", "\(configuration.memoryMiB)", "-nodefaults", "-display", "none",
        "-qmp", monitor ?? "unix:\(files.monitor)", "-msg", "timestamp=on", "-D", files.log,
    ]
    if configuration.machine != "none" { arguments += ["-bios", files.firmware(configuration.firmware)] }
    if !configuration.traceEvents.isEmpty { arguments += ["-trace", "events=\(files.traceEvents)"] }
    if let legacy = configuration.legacyProperty { arguments += ["-global", "migration.switchover-ack-legacy=\(legacy ? "on" : "off")"] }
    if !configuration.devices.isEmpty { arguments += ["-object", "iommufd,id=iommufd0,fd=\(iommufdDescriptor)"] }
    for (index, device) in configuration.devices.enumerated() {
        let address = "addr=0x\(String(device.slot, radix: 16))"
        if device.isPluggedLater {
            arguments += ["-device", "pcie-root-port,id=\(device.port),chassis=\(index + 1),\(address)"]
        } else {
            let options = configuration.options(ofDevice: index).map { ",\($0.key)=\($0.value)" }.joined()
            arguments += ["-device", "vfio-pci,id=\(device.name)\(options),\(address)"]
        }
    }
    if configuration.filledMiB > 0 { arguments += ["-device", "loader,file=\(files.filling),addr=0x400000,force-raw=on"] }
    if case .qemu(let binary) = configuration.binary { arguments += binary.arguments }
    arguments += configuration.extraArguments
    if configuration.startsPaused { arguments.append("-S") }
    if role == .destination { arguments += ["-incoming", "defer"] }
    return arguments
}

/// Starts QEMU in `folder`, which exists and is empty, waits for its monitor, runs `body`, and ends QEMU by `quit`, or by SIGKILL to its
/// process group if it does not obey in time. The process is always reaped before this returns or throws. If it ends by itself, `ended`
/// gets how.
package func withQEMU<Value: Sendable>(
    _ role: Role, _ configuration: SideConfiguration, shim: String, folder: String, ended: EndedProcesses = EndedProcesses(),
    body: (QEMUSide) async throws -> Value
) async throws -> Value {
    guard case .qemu(let binary) = configuration.binary else {
        throw SideError("expected a QEMU as \(role.rawValue), found \(configuration.binary.name)")
    }
    let files = SideFiles(folder: folder)
    let board = try prepare(configuration, files: files)
    let listener = try QMPListener(path: files.monitor)
    try link(binary, shim: shim, files)
    var (executable, arguments, environment) = binary.launch
    arguments += qemuArguments(configuration, role: role)
    if board != nil { environment["ACKMATRIX_SIDE"] = "." }
    try write(shellLine(executable, arguments, environment), to: files.commandLine)
    environment["ACKMATRIX_PARENT"] = "\(getpid())"
    let standardError = try FileDescriptor.open(
        files.standardError, .writeOnly, options: [.create, .append, .closeOnExec], permissions: [.ownerReadWrite])
    defer { try? standardError.close() }

    var options = PlatformOptions()
    options.processGroupID = 0
    options.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1))]
    let result = try await run(
        .path(FilePath(executable)), arguments: Arguments(arguments),
        environment: .inherit.updating(Dictionary(uniqueKeysWithValues: environment.map { (.init(stringLiteral: $0.key), $0.value) })),
        workingDirectory: FilePath(folder), platformOptions: options, input: .none,
        output: .fileDescriptor(standardError, closeAfterSpawningProcess: false),
        error: .fileDescriptor(standardError, closeAfterSpawningProcess: false)
    ) { execution -> Running<Value> in
        await drive(
            QEMUStart(role: role, configuration: configuration, files: files, board: board, listener: listener),
            execution.processIdentifier, body)
    }
    MemoryGroup.remove(of: result.processIdentifier.value)
    let running = result.closureResult
    let end = ProcessEnd(
        role: role, binary: configuration.binary.name, how: .init(result.terminationStatus), hasAnswered: running.hasAnswered,
        lastWords: lastWords(of: files.standardError))
    if running.endedByItself { ended.append(end) }
    if case .failure(QMPError.closed) = running.result, running.endedByItself, !running.hasAnswered { throw startUpFailure(end) }
    return try running.result.get()
}

/// What has run a side: the result of the body, and what is known of the process's end.
private struct Running<Value: Sendable>: Sendable {
    var result: Result<Value, any Error>
    /// True if the process ended before it was asked to, and before it was killed.
    var endedByItself: Bool
    var hasAnswered: Bool
}

/// A side that is being started.
private struct QEMUStart: Sendable {
    let role: Role
    let configuration: SideConfiguration
    let files: SideFiles
    let board: GateBoard?
    let listener: QMPListener
}

/// Waits for the monitor of a process that was started, runs the body, and ends the process.
private nonisolated(nonsending) func drive<Value: Sendable>(
    _ start: QEMUStart, _ process: ProcessIdentifier, _ body: (QEMUSide) async throws -> Value
) async -> Running<Value> {
    var side: QEMUSide?
    do {
        let monitor = try await start.listener.accept(
            process: process.processDescriptor, whose: MonitoredProcess(start.role, start.configuration.binary.name, process.value),
            mostPrinted: start.files.standardError, deadline: .after(seconds: 20))
        try await monitor.negotiate(deadline: .after(seconds: 20))
        let started = QEMUSide(
            role: start.role, configuration: start.configuration, files: start.files, monitor: monitor, board: start.board, process: process
        )
        side = started
        let value = try await body(started)
        let endedByItself = await hasEnded(process.processDescriptor) && !started.wasKilled
        if started.isAbandoned {
            kill(-process.value, SIGKILL)
        } else {
            // A held device call would block the main loop, and with it `quit`.
            start.board?.openAll()
            await end(monitor, process)
        }
        return Running(result: .success(value), endedByItself: endedByItself, hasAnswered: true)
    } catch {
        // A process whose monitor has closed is about to end, and tells more by its own end than by that of a kill.
        let isEnding = if let side { await side.monitor.isClosed } else { error.isEndOfMonitor }
        let endedByItself = await hasEnded(process.processDescriptor, by: .after(seconds: isEnding ? 2 : 0)) && side?.wasKilled != true
        kill(-process.value, SIGKILL)
        return Running(result: .failure(error), endedByItself: endedByItself, hasAnswered: side != nil)
    }
}

extension Error {
    fileprivate var isEndOfMonitor: Bool { if case .closed? = self as? QMPError { true } else { false } }
}

/// The error for a QEMU that has ended before it answered: the environment's if the shim or the dynamic loader failed, a refusal if QEMU
/// exited with an error text, otherwise a failure of the side.
private func startUpFailure(_ end: ProcessEnd) -> any Error {
    let words = end.lastWords.joined(separator: " | ")
    let isEnvironment = ["ackmatrix-shim: ", "error while loading shared libraries", "cannot be preloaded"].contains { words.contains($0) }
    if isEnvironment { return Environment(end.description) }
    guard case .exited(let status) = end.how, status != 0, !words.isEmpty else { return SideError(end.description) }
    return SideRefusal(
        role: end.role, binary: end.binary, command: "its command line", text: "\(words) (it \(end.end) before it answered on its monitor)")
}

/// Executes `quit` and waits until the process has ended; kills its process group after the deadline.
private func end(_ monitor: QMPConnection, _ process: ProcessIdentifier) async {
    let deadline = Deadline.after(seconds: 5)
    // A QEMU that has already ended, such as a failed destination, does not answer.
    _ = try? await monitor.execute("quit", deadline: deadline)
    if await !hasEnded(process.processDescriptor, by: deadline) { kill(-process.value, SIGKILL) }
}

/// Makes the links by which QEMU reaches the shim and its libraries: lists of such paths are split at spaces and colons, which the path of
/// a link in QEMU's own folder never has.
private func link(_ binary: QEMUBinary, shim: String, _ files: SideFiles) throws {
    var links = [(files.shim, shim)]
    if case .root(let root) = binary.start { links.append((files.root, root)) }
    for (link, target) in links where symlink(target, link) != 0 {
        throw Environment("\(link): cannot be made: \(String(cString: strerror(errno)))")
    }
}

private func prepare(_ configuration: SideConfiguration, files: SideFiles) throws -> GateBoard? {
    for (path, bytes) in filesBeforeStart(configuration, files) {
        do {
            try bytes.write(to: URL(fileURLWithPath: path))
        } catch {
            throw Environment("\(path): cannot be written: \(systemReason(error))")
        }
    }
    return configuration.devices.isEmpty ? nil : try GateBoard(path: files.board)
}

/// The files in a side's folder before its QEMU starts, except the gate board that a side with devices has.
package func filesBeforeStart(_ configuration: SideConfiguration, _ files: SideFiles) -> [(path: String, bytes: Data)] {
    var contents = [
        (files.firmware(configuration.firmware), configuration.firmware.image),
        (files.traceEvents, Data((configuration.tracePatterns ?? configuration.traceEvents).map { $0 + "\n" }.joined().utf8)),
    ]
    if configuration.filledMiB > 0 { contents.append((files.filling, Data(repeating: 0x5a, count: configuration.filledMiB << 20))) }
    guard !configuration.devices.isEmpty else { return contents }
    var list = "ackmatrix-side 1\niommufd \(iommufdDescriptor)\n"
    for (index, device) in configuration.devices.enumerated() {
        list += "device \(firstDeviceDescriptor + index) \(device.name) \(files.script(device.name))\n"
        let text =
            switch device.backend {
            case .mock(let script): script.text
            case .replay(let replay): replay.text
            }
        contents.append(("\(files.folder)/\(files.script(device.name))", Data(text.utf8)))
    }
    if let gate = configuration.connectGate { list += "connect \(gate)\n" }
    return contents + [(files.devices, Data(list.utf8))]
}

private func write(_ text: String, to path: String) throws {
    do {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    } catch {
        throw Environment("\(path): cannot be written: \(systemReason(error))")
    }
}

/// The command as a line of shell, environment variables first.
func shellLine(_ executable: String, _ arguments: [String], _ environment: [String: String]) -> String {
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\(shellWord($0.value))" }
    return (variables + ([executable] + arguments).map(shellWord)).joined(separator: " ") + "\n"
}
