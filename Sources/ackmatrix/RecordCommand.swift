/// `ackmatrix record` and `ackmatrix distill`: what a device did, as a trace, and the trace as a device script.
import ArgumentParser
import EnginePeer
import Foundation
import MigrationTrace
import Plan
import Recording
import Running
import Subprocess
import SystemPackage
import VFIO

struct RecordCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "record", abstract: "Record every VFIO call of a command, or of the engine on a device, as a trace.",
        discussion: """
            ackmatrix record --output run.trace -- qemu-system-x86_64 ... -device vfio-pci,host=0000:3b:00.2

            runs the command, which must be dynamically linked, below a preload library that passes every call on. Recorded are the opens \
            of /dev/vfio/* and /dev/iommu, and every ioctl, read and write on the descriptors of iommufds, groups, containers, devices and \
            data sessions, also those that the command was given: arguments, results, sizes, times and threads. Of data the XXH3 hash is \
            recorded; with --contents the bytes are kept, too. Programs that the command starts are recorded as well. A process that saves \
            is the source of the trace, one that loads is the destination; of several sources or destinations each gets a trace of its \
            own. `record -- ackmatrix run --cell CELL` records the QEMUs of a cell.

            While the command runs, the calls are appended to OUTPUT.calls/, line by line, so that nothing but the last line is lost when \
            the command, or ackmatrix itself, is killed: --read OUTPUT.calls makes the trace of what is there.

            ackmatrix record --output run.trace --device kernel:/sys/bus/mdev/devices/UUID --target kernel:...

            has the engine, as the generation 11.1, migrate the device to the target, and records its calls. mock:SCRIPT is a mock that \
            follows the script. What DEVICE saves must be data that the target can load; without --target that is a mock.

            `ackmatrix distill` makes a device script of a recording, and `ackmatrix replay` a device.

            The recorder takes no memory of the command. Making the trace takes some 20 times the size of OUTPUT.calls/.

            Exit status: 0 if calls were recorded, however the command ended; 2 if there were none, or the command cannot be started.
            """)

    @Option(name: .shortAndLong, help: ArgumentHelp("The trace to write.", valueName: "TRACE"))
    var output = "recording.trace"

    @Flag(help: "Keep what was read from and written to the devices, in OUTPUT.calls/.")
    var contents = false

    @Option(help: ArgumentHelp("Run nothing; make the trace of what an earlier run has left.", valueName: "FOLDER"))
    var read: String?

    @Option(help: ArgumentHelp("Record the engine on this device.", valueName: "kernel:PATH|mock:SCRIPT"))
    var device: String?

    @Option(help: ArgumentHelp("The destination's device, with --device.", valueName: "kernel:PATH|mock:SCRIPT"))
    var target: String?

    @Option(
        help: ArgumentHelp(
            "Keep a fact in the header of the trace, such as firmware=22.36.1010; may repeat. Kernel, machine and what the kernel tells of "
                + "the devices (driver, module version, IOMMU mode) are kept anyway.", valueName: "NAME=VALUE"))
    var fact: [RecordedFact] = []

    @Argument(parsing: .postTerminator, help: ArgumentHelp("The command and its arguments, after --.", valueName: "command"))
    var command: [String] = []

    func validate() throws {
        let ways = [read != nil, device != nil, !command.isEmpty].count(where: \.self)
        guard ways == 1 else {
            throw ValidationError(
                "expected a command after --, --device DEVICE, or --read FOLDER, found \(ways == 0 ? "none" : "\(ways)") of them")
        }
        if target != nil, device == nil { throw ValidationError("--target is for --device, which is missing") }
        if contents, device != nil { throw ValidationError("--contents is for a command: the engine keeps no data of a device") }
    }

    func run() async throws {
        if let device { return try await recordEngine(on: device) }
        if let read { return try conclude(RecordingFolder(existing: read), command: "an earlier run", keeps: true) }
        let folder = try RecordingFolder(new: output + ".calls")
        let recorder = try Harness.library("recorder", variable: "ACKMATRIX_RECORDER")
        let environment = ProcessInfo.processInfo.environment
        // Before what the user preloads: the recorder passes calls on to the library after it.
        let preload = [recorder, environment["LD_PRELOAD"] ?? ""].filter { !$0.isEmpty }.joined(separator: ":")
        let status: TerminationStatus
        do {
            status = try await Subprocess.run(
                command[0].contains("/") ? .path(FilePath(command[0])) : .name(command[0]),
                arguments: Arguments(Array(command.dropFirst())),
                environment: .inherit.updating([
                    "LD_PRELOAD": preload, "ACKMATRIX_RECORDING": folder.path, "ACKMATRIX_RECORDING_CONTENTS": contents ? "1" : "0",
                ]),
                input: .fileDescriptor(.standardInput, closeAfterSpawningProcess: false),
                output: .fileDescriptor(.standardOutput, closeAfterSpawningProcess: false),
                error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false)
            ).terminationStatus
        } catch let error as SubprocessError {
            folder.removeIfEmpty()
            throw Environment("\(command[0]): cannot be started: \(error)")
        }
        note("\(command[0]): \(status)")
        Signals.resultsAreBeingWritten()
        try conclude(folder, command: command[0].split(separator: "/").last.map(String.init) ?? command[0], keeps: contents)
    }

    /// Has the engine migrate the device, and writes the trace of the migration with the calls on its devices.
    private func recordEngine(on device: String) async throws {
        var kernel: [String: KernelDevicePath] = [:]
        func planned(_ given: String?, name: String) throws -> PlannedDevice {
            let parts = (given ?? "mock").split(separator: ":", maxSplits: 1).map(String.init)
            switch parts.first {
            case "kernel" where parts.count == 2: kernel[name] = try KernelDevicePath(parts[1])
            case "mock" where parts.count == 2 || given == nil: break
            default: throw ValidationError("expected kernel:PATH or mock:SCRIPT, found '\(given ?? "")'")
            }
            let file = parts.first == "mock" && parts.count == 2 ? parts[1] : nil
            let text = try file.map(scriptText) ?? "ackmatrix-device 1\n"
            return PlannedDevice(name: name, .mock(try DeviceScript(text, file: file ?? "the default script")))
        }
        let (engine, _) = try await chosenSides("engine@11.1", BinaryOptions())
        let migration = DeviceMigration(
            source: engine, destination: engine, sourceDevices: [try planned(device, name: "v0")],
            destinationDevices: [try planned(target, name: "w0")])
        let outcome: DeviceMigration.Outcome
        do { outcome = try migration.inEngine(ObservedDevices(kernel: kernel, records: true)) } catch let error as SideRefusal {
            throw Environment("\(device): the engine refuses it: \(error.text)")
        } catch let error as SideError { throw Environment(error.description) }
        var trace = outcome.trace
        trace.header.source.properties += properties + (kernel["v0"]?.properties(of: "v0") ?? [])
        trace.header.destination.properties += properties + (kernel["w0"]?.properties(of: "w0") ?? [])
        try trace.write(path: output)
        say("\(output): \(outcome.record.outcome.description)")
        if case .ended("completed") = outcome.record.outcome { return }
        note("the migration did not complete; the trace has it as far as it came")
    }

    /// What both sides of a trace have.
    private var properties: [Setting] {
        [Setting("kernel", kernelRelease()), Setting("host-machine", hostMachine())] + fact.map(\.setting)
    }

    /// What the kernel tells of the devices of a process; nothing of those that are gone.
    private func properties(of process: RecordedProcess) -> [Setting] {
        properties + process.devices.flatMap { name in (try? KernelDevicePath(name))?.properties(of: name) ?? [] }
    }

    /// Writes the traces, and removes the folder unless it is to be kept.
    private func conclude(_ folder: RecordingFolder, command: String, keeps: Bool) throws {
        let processes = try folder.processes()
        guard !processes.isEmpty else {
            if !keeps { folder.removeIfEmpty() }
            throw Environment(
                "\(folder.path): no VFIO call was recorded: the command has made none, or is linked statically, or has cleared LD_PRELOAD")
        }
        for (path, trace) in traces(of: processes, command: command) {
            try trace.write(path: path)
            let sides = [("source", trace.sourceDevices), ("destination", trace.destinationDevices)].filter { $0.1.count > 0 }
            say("\(path): " + sides.map { "\($0.0) \($0.1.count) entries" }.joined(separator: ", "))
        }
        if keeps { say("\(folder.path): calls and contents") } else { try folder.remove() }
    }

    /// One trace if at most one process saves and one loads, else one for each process. Processes without a migration, as a QEMU that is
    /// only asked for its version, are left out if there is another.
    private func traces(of all: [RecordedProcess], command: String) -> [(path: String, trace: Trace)] {
        let migrating = all.filter { $0.saves || $0.loads }
        let processes = migrating.isEmpty ? all : migrating
        if processes.count < all.count { note("\(all.count - processes.count) processes without a migration are left out") }
        let sources = processes.filter { !$0.loads }
        let destinations = processes.filter(\.loads)
        if sources.count <= 1, destinations.count <= 1 {
            return [(output, Trace(recording: sources.first, destinations.first, command: command, properties: properties(of:)))]
        }
        let stem = output.hasSuffix(".trace") ? String(output.dropLast(6)) : output
        return processes.map { process in
            let trace = Trace(
                recording: process.loads ? nil : process, process.loads ? process : nil, command: command, properties: properties(of:))
            return ("\(stem)-\(process.id).trace", trace)
        }
    }
}

/// A fact that the user knows of a recording.
struct RecordedFact: ExpressibleByArgument {
    let setting: Setting

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, !parts[0].isEmpty else { return nil }
        setting = Setting(parts[0], parts[1])
    }
}

/// The folder that the recorder writes to.
private struct RecordingFolder {
    let path: String

    init(existing path: String) { self.path = path }

    init(new path: String) throws {
        self.path = URL(fileURLWithPath: path).path
        guard mkdir(self.path, 0o755) == 0 else {
            throw Environment(
                "\(path): cannot be made: \(String(cString: strerror(errno)))"
                    + (errno == EEXIST ? "; --read it, remove it, or name another --output" : ""))
        }
    }

    /// Each recorded process, in the order of their ids.
    func processes() throws -> [RecordedProcess] {
        let names: [String]
        do { names = try FileManager.default.contentsOfDirectory(atPath: path) } catch {
            throw Environment("\(path): cannot be read: \(systemReason(error))")
        }
        return try names.filter { $0.hasSuffix(".calls") }.sorted { $0.compare($1, options: .numeric) == .orderedAscending }.map { name in
            let file = "\(path)/\(name)"
            // At most 1 MiB of it is looked at, and each argument ends with NUL.
            let bytes = FileHandle(forReadingAtPath: file.dropLast(5) + "command").flatMap { try? $0.read(upToCount: 1 << 20) } ?? Data()
            let arguments = bytes.split(separator: 0, omittingEmptySubsequences: false).map {
                String(decoding: $0.prefix(8000), as: UTF8.self)
            }
            do { return try RecordedProcess(calls: file, commandLine: Array(arguments.dropLast().prefix(4000))) } catch {
                throw Environment("\(error)")
            }
        }
    }

    func remove() throws {
        do { try FileManager.default.removeItem(atPath: path) } catch {
            throw Environment("\(path): cannot be removed: \(systemReason(error))")
        }
    }

    func removeIfEmpty() { rmdir(path) }
}

private func kernelRelease() -> String {
    uname { withUnsafeBytes(of: $0.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) } }
}

private func hostMachine() -> String {
    uname { withUnsafeBytes(of: $0.machine) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) } }
}

private func uname(_ field: (utsname) -> String) -> String {
    var name = utsname()
    guard Glibc.uname(&name) == 0 else { return "" }
    return field(name)
}

struct DistillCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "distill", abstract: "Make the device script of a recording.",
        discussion: """
            The script has what the calls show: abilities, sizes, the schedule of re-initialisations and of dirty bytes by queries, rates, \
            costs, and failures. What the recording has and a script cannot express is a comment at its head, `# Not in the script: ...`. \
            The script goes to standard output; with several devices, or --output, each goes to FOLDER/NAME.script, those of a destination \
            to FOLDER/NAME-destination.script.

            The mock follows the script, in `ackmatrix replay --tolerant` or in a QEMU below the preload shim.

            Memory takes some 20 times the size of the recording.

            Exit status: 0, or 2 for a file that is no recording, or a recording that no script expresses.
            """)

    @Argument(help: ArgumentHelp("A trace that `ackmatrix record` has written.", valueName: "TRACE"))
    var trace: String

    @Option(help: ArgumentHelp("Only this device.", valueName: "NAME"))
    var device: String?

    @Option(name: .shortAndLong, help: ArgumentHelp("The folder for the scripts, which is made.", valueName: "FOLDER"))
    var output: String?

    func run() throws {
        let devices = try recordedDevices(trace, named: device)
        let scripts = try devices.map { device in
            do { return (device, try Distillation(device)) } catch { throw Environment("\(trace): \(error)") }
        }
        guard let output else {
            guard let (only, script) = scripts.first, scripts.count == 1 else {
                let names = devices.map { "\($0.name) (\($0.loads ? "destination" : "source"))" }
                throw Environment(
                    "\(trace): expected one device, found \(names.joined(separator: ", "))"
                        + "; choose one with --device, or give --output FOLDER")
            }
            for remark in script.remarks { note("\(only.name): not in the script: \(remark)") }
            return sayLines(script.text)
        }
        do {
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
            for (device, script) in scripts {
                // A name comes from the trace, and becomes part of a path.
                let name = String(device.name.map { $0.isLetter || $0.isNumber || "._-:".contains($0) ? $0 : "_" }.prefix(100))
                let path = "\(output)/\(name)\(device.loads ? "-destination" : "").script"
                try Data(script.text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
                say("\(path): \(device.calls.count) calls, \(script.remarks.count) remarks")
            }
        } catch let error as CocoaError { throw Environment("\(output): cannot be written: \(systemReason(error))") }
    }
}

/// The devices of a recording: all of them, or the one of this name.
func recordedDevices(_ path: String, named name: String?) throws -> [RecordedDevice] {
    do {
        let all = try RecordedDevice.all(in: Trace(path: path))
        let chosen = all.filter { name == nil || $0.name == name }
        guard !chosen.isEmpty else {
            throw Environment(
                all.isEmpty
                    ? "\(path): expected a recording, found a trace without recorded calls of a device; make one with `ackmatrix record`"
                    : "\(path): no device is named \(name ?? ""); the recording has \(all.map(\.name).joined(separator: ", "))")
        }
        return chosen
    } catch let error as TraceError {
        throw Environment("\(path): \(error)")
    } catch let error as RecordingError {
        throw Environment("\(path): \(error)")
    }
}
