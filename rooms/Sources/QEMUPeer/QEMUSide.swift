/// A side of a migration that is a real QEMU: what it is started with, and its running process.
import Foundation
import Glibc
import Plan
import Subprocess
import Synchronization
import SystemPackage
import VFIO

/// A QMP command as it is sent.
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
    /// The QMP commands it was given, one a line, as sent.
    package var commands: String { folder + "/commands" }
    var monitor: String { folder + "/qmp" }
    package var board: String { folder + "/board" }
    var devices: String { folder + "/devices" }
    var traceEvents: String { folder + "/events" }
    func firmware(_ firmware: Firmware) -> String { folder + "/" + firmware.file }
    var filling: String { folder + "/filling" }
    func script(_ device: String) -> String { "\(device).script" }
}

private let iommufdDescriptor = 99

/// A QEMU that runs. Made by `withQEMU`, gone when its closure returns.
package final class QEMUSide: Sendable {
    package let role: Role
    package let configuration: SideConfiguration
    package let files: SideFiles
    package let monitor: QMPConnection
    /// Gates and device progress; nil on a side without devices.
    package let board: GateBoard?
    private let abandoned = Mutex(false)
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

    /// Stops the process where it stands, or lets it go on: what a gate is to a device call, where there is no device.
    func halt(_ isHalted: Bool) { Glibc.kill(-process.value, isHalted ? SIGSTOP : SIGCONT) }

    /// Ends the process at once, as a crash does.
    func kill() {
        killed.withLock { $0 = true }
        Glibc.kill(-process.value, SIGKILL)
    }
    var wasKilled: Bool { killed.withLock { $0 } }

    /// Lets the process open so many descriptors more, and no more; nil: as many as when it was started.
    func limitDescriptors(free: Int?) async throws {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            throw Environment("getrlimit: \(String(cString: strerror(errno)))")
        }
        var number = Int(limit.rlim_cur)
        if let free {
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.value)/fd").compactMap { Int($0) }
            // New descriptors take the lowest free numbers, and the limit is on the number.
            number = (0...).lazy.filter { !open.contains($0) }.dropFirst(free).first { _ in true } ?? number
        }
        // Another process's limit can be set by prlimit(2) alone, which Swift's Glibc does not have.
        let result = try await run(
            .name("prlimit"), arguments: ["--pid", "\(process.value)", "--nofile=\(number):"], output: .discarded,
            error: .string(limit: 4096))
        guard result.terminationStatus.isSuccess else {
            throw Environment("prlimit: \(result.standardError): install util-linux, or leave out the cells of limits")
        }
    }

    /// Leaves the process next to no memory to take: whoever does that ends it, by the kernel's hand.
    func limitMemory() throws {
        killed.withLock { $0 = true }
        try MemoryGroup.make(for: process.value)
    }

    /// Stops this side where it stands, and has it end by a kill, its gates as they are: nothing that was held may go on, and nothing
    /// that the other side's end causes may be logged.
    func abandon() {
        abandoned.withLock { $0 = true }
        halt(true)
    }
    var isAbandoned: Bool { abandoned.withLock { $0 } }

    /// Runs a command; a refusal says which side refused.
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

    /// Sends a command and does not wait for its answer.
    func request(_ command: String, _ arguments: JSONValue? = nil) async throws {
        try note(command, arguments)
        try await monitor.request(command, arguments, deadline: .after(seconds: 10))
    }

    /// Runs a command that must be refused in these words.
    func expectRefusal(of command: String, _ arguments: JSONValue?, words: String) async throws {
        do {
            try await execute(command, arguments)
        } catch let refusal as SideRefusal {
            guard refusal.text.contains(words) else {
                throw SideError(
                    "\(role.rawValue) \(configuration.binary.name): expected \(command) to be refused with '\(words)', found: \(refusal.text)"
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

    /// Sets capabilities and parameters and reads the capabilities back.
    /// Returns all capabilities in force; throws when QEMU refuses one or keeps another value than asked.
    package func configure() async throws -> [String: Bool] {
        for (command, arguments) in configuration.settingCommands { try await execute(command, arguments) }
        var inForce: [String: Bool] = [:]
        for entry in try await execute("query-migrate-capabilities").array ?? [] {
            if let name = entry["capability"]?.string { inForce[name] = entry["state"]?.bool }
        }
        for (name, value) in configuration.capabilities where inForce[name] != value {
            throw SideError(
                "\(role.rawValue) \(configuration.binary.name): expected capability \(name) \(value ? "on" : "off") after setting it, found "
                    + (inForce[name].map { $0 ? "on" : "off" } ?? "no such capability"))
        }
        return inForce
    }
}

/// QEMU's arguments for a side, without the launcher. QEMU runs in its folder and knows it as `.`, so that what it is started with does
/// not depend on where that is. `monitor` is where QMP is; nil: the socket that its driver listens at.
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
    arguments += configuration.extraArguments
    if configuration.startsPaused { arguments.append("-S") }
    if role == .destination { arguments += ["-incoming", "defer"] }
    return arguments
}

/// Starts QEMU in `folder` (fresh, exclusively this side's), waits for its monitor, runs `body`, and ends it: by `quit`, and where that
/// is not obeyed in time by killing its process group. The process is always reaped before this returns or throws.
package func withQEMU<Value: Sendable>(
    _ role: Role, _ configuration: SideConfiguration, shim: String, folder: String,
    body: (QEMUSide) async throws -> Value
) async throws -> Value {
    guard configuration.modules.isEmpty else {
        throw SideError("\(configuration.binary.name) is a QEMU, which has none of the modules beside memory and VFIO devices")
    }
    let files = SideFiles(folder: folder)
    let board = try prepare(configuration, files: files)
    let listener = try QMPListener(path: files.monitor)
    var (executable, arguments, environment) = try configuration.binary.launch(shim: shim)
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
    ) { execution -> Result<Value, any Error> in
        do {
            let monitor: QMPConnection
            do {
                monitor = try await listener.accept(process: execution.processIdentifier.processDescriptor, deadline: .after(seconds: 20))
                try await monitor.negotiate(deadline: .after(seconds: 20))
            } catch QMPError.closed {
                throw startUpFailure(role, configuration.binary.name, lastWords: lastLines(of: files.standardError))
            }
            let side = QEMUSide(
                role: role, configuration: configuration, files: files, monitor: monitor, board: board,
                process: execution.processIdentifier)
            let value = try await body(side)
            if side.isAbandoned {
                try? execution.send(signal: .kill, toProcessGroup: true)
            } else {
                // A held device call would keep it from obeying `quit`.
                board?.openAll()
                await end(monitor, execution.processIdentifier)
            }
            return .success(value)
        } catch {
            try? execution.send(signal: .kill, toProcessGroup: true)
            return .failure(error)
        }
    }
    MemoryGroup.remove(of: result.processIdentifier.value)
    return try result.closureResult.get()
}

/// Why a QEMU ended before its monitor was there: what the shim or the dynamic loader refuse is the environment's fault, the rest QEMU's.
private func startUpFailure(_ role: Role, _ binary: String, lastWords: String) -> any Error {
    let isEnvironment = ["ackmatrix-shim: ", "error while loading shared libraries"].contains { lastWords.contains($0) }
    return isEnvironment
        ? Environment("\(role.rawValue) \(binary) ended at start-up: \(lastWords)")
        : SideRefusal(role: role, binary: binary, command: "its command line", text: lastWords)
}

/// Asks for `quit` and waits for the process to end; kills its group when it does not.
private func end(_ monitor: QMPConnection, _ process: ProcessIdentifier) async {
    let deadline = Deadline.after(seconds: 5)
    // A QEMU that has already ended (a failed destination exits by itself) cannot be asked.
    _ = try? await monitor.execute("quit", deadline: deadline)
    let descriptor = process.processDescriptor
    let ended = try? await blocking {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        while true {
            let count = poll(&wait, 1, deadline.pollTimeout)
            if count >= 0 || errno != EINTR { return count > 0 }
        }
    }
    if ended != true { kill(-process.value, SIGKILL) }
}

private func prepare(_ configuration: SideConfiguration, files: SideFiles) throws -> GateBoard? {
    for (path, bytes) in filesBeforeStart(configuration, files) {
        do {
            try bytes.write(to: URL(fileURLWithPath: path))
        } catch {
            throw Environment("\(path): cannot be written: \(error.localizedDescription)")
        }
    }
    return configuration.devices.isEmpty ? nil : try GateBoard(path: files.board)
}

/// What a side's folder holds before its QEMU starts, beside the gate board that a side with devices has.
package func filesBeforeStart(_ configuration: SideConfiguration, _ files: SideFiles) -> [(path: String, bytes: Data)] {
    var contents = [
        (files.firmware(configuration.firmware), configuration.firmware.image),
        (files.traceEvents, Data(configuration.traceEvents.map { $0 + "\n" }.joined().utf8)),
    ]
    if configuration.filledMiB > 0 { contents.append((files.filling, Data(repeating: 0x5a, count: configuration.filledMiB << 20))) }
    guard !configuration.devices.isEmpty else { return contents }
    var list = "ackmatrix-side 1\niommufd \(iommufdDescriptor)\n"
    for (index, device) in configuration.devices.enumerated() {
        list += "device \(firstDeviceDescriptor + index) \(device.name) \(files.script(device.name))\n"
        contents.append(("\(files.folder)/\(files.script(device.name))", Data(device.script.text.utf8)))
    }
    if let gate = configuration.connectGate { list += "connect \(gate)\n" }
    return contents + [(files.devices, Data(list.utf8))]
}

private func write(_ text: String, to path: String) throws {
    do {
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    } catch {
        throw Environment("\(path): cannot be written: \(error.localizedDescription)")
    }
}

/// The command as a shell takes it, environment first.
func shellLine(_ executable: String, _ arguments: [String], _ environment: [String: String]) -> String {
    let variables = environment.sorted { $0.key < $1.key }.map { "\($0.key)=\(shellWord($0.value))" }
    return (variables + ([executable] + arguments).map(shellWord)).joined(separator: " ") + "\n"
}

/// The end of a text file, for an error message.
func lastLines(of path: String, count: Int = 3) -> String {
    guard let text = try? String(contentsOfFile: path, encoding: .utf8), !text.isEmpty else { return "it said nothing" }
    let lines = text.split(separator: "\n")
    let telling = lines.filter { !$0.contains(": warning: ") }
    return (telling.isEmpty ? lines : telling).suffix(count).joined(separator: " | ")
}
