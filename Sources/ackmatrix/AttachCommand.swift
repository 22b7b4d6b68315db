/// `ackmatrix attach`: looks on while somebody else migrates a guest between two QEMUs, and judges the handshake at the end.
import ArgumentParser
import Foundation
import MigrationTrace
import Plan
import QEMUPeer
import Subprocess
import SystemPackage
import VFIO
import Verification

/// `src=ATTACH,qmp=ADDRESS,log=PATH`
struct AttachedSide: ExpressibleByArgument {
    let role: Role
    let qmp: QMPAddress?
    let log: String

    init?(argument: String) {
        var values: [String: String] = [:]
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let pair = part.split(separator: "=", maxSplits: 1).map(String.init)
            guard pair.count == 2, !pair[1].isEmpty, values.updateValue(pair[1], forKey: pair[0]) == nil else { return nil }
        }
        let (source, destination) = (values.removeValue(forKey: "src"), values.removeValue(forKey: "dst"))
        let log = values.removeValue(forKey: "log")
        guard (source == nil) != (destination == nil), (source ?? destination) == "ATTACH", let log else { return nil }
        if let address = values.removeValue(forKey: "qmp") {
            guard let parsed = QMPAddress(address) else { return nil }
            qmp = parsed
        } else {
            qmp = nil
        }
        guard values.isEmpty else { return nil }
        role = source == nil ? .destination : .source
        self.log = log
    }
}

/// `PHASE=COMMAND`
struct Workload: ExpressibleByArgument {
    let phase: MigrationStatus
    let command: String

    init?(argument: String) {
        let pair = argument.split(separator: "=", maxSplits: 1).map(String.init)
        guard pair.count == 2, !pair[1].isEmpty, let phase = MigrationStatus(rawValue: pair[0]) else { return nil }
        (self.phase, command) = (phase, pair[1])
    }
}

struct AttachCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "attach", abstract: "Judge a migration that somebody else makes between two running QEMUs.",
        discussion: """
            Both QEMUs run already, on this host or behind forwarded sockets, with devices of any kind. `attach` asks their monitors for \
            version, capabilities and trace events, follows their logs until the migration has ended, and judges it as `ackmatrix check` \
            does. It starts, migrates and ends no QEMU: however it ends itself, both are left as they are. A monitor serves one client, so \
            give each QEMU one of its own: -qmp unix:PATH,server=on,wait=off. Without qmp=, only the log is followed.

            The log is what -D writes, or what QEMU prints on standard error; `ackmatrix trace-events` says what to trace. --trace \
            switches on what is missing, and off again at the end. The log may have earlier migrations; the last one is judged.

            Per device, from the source's log: queries, REINITs, requests, markers, the time from a marker to its ACK, initial bytes that \
            were unread at STOP_COPY (0 is due where the capability is on), and the bytes of both phases.

            Example:
              ackmatrix attach --side src=ATTACH,qmp=/run/a.qmp,log=/var/log/a.log \
            --side dst=ATTACH,qmp=192.0.2.7:4444,log=/mnt/b.log --workload active='ssh guest ./provoke-reinit'

            Exit status: 0 if no rule is broken, 1 for a finding, 2 if a side cannot be reached or the logs cannot be judged, 3 if the \
            migration has not ended when a signal or --limit ends the command.
            """)

    @Option(
        help: ArgumentHelp(
            "A side: src=ATTACH or dst=ATTACH, log=PATH, and qmp= with unix:PATH, PATH, tcp:HOST:PORT or HOST:PORT.",
            valueName: "src|dst=ATTACH,qmp=ADDRESS,log=PATH"))
    var side: [AttachedSide]

    @Option(
        help: ArgumentHelp(
            "Run a shell command once when the source reaches this status, such as setup, active, device or completed; may repeat.",
            valueName: "STATUS=COMMAND"))
    var workload: [Workload] = []

    @Option(
        help: ArgumentHelp(
            "Tell what the kernel says of this device: driver, version, hardware; may repeat. The device is not opened.",
            valueName: "src|dst=DEVICE"))
    var device: [String] = []

    @Flag(help: "Switch on the trace events that judging needs, and off again at the end.")
    var trace = false

    @Option(help: "The most seconds to wait for the end of the migration.")
    var limit: Double?

    @Flag(help: "Print the judgement as JSON.")
    var json = false

    func validate() throws {
        guard 1...2 ~= side.count, Set(side.map(\.role)).count == side.count else {
            throw ValidationError("expected --side once for src, once for dst, or one of them, found \(side.map(\.role.rawValue))")
        }
        if let limit, !(limit > 0 && limit <= 1e6) {
            throw ValidationError("--limit: expected seconds from above 0 to 1000000, found \(limit)")
        }
        if trace, side.contains(where: { $0.qmp == nil }) { throw ValidationError("--trace: expected qmp= for each side") }
    }

    func run() async throws {
        for text in device { for line in try facts(of: text) { note(line) } }
        var attached: [(side: AttachedSide, qemu: AttachedQEMU)] = []
        for side in side { if let qmp = side.qmp { attached.append((side, try await attach(side, qmp))) } }
        do { try await followAndJudge(attached) } catch {
            await restore(attached)
            throw error
        }
        await restore(attached)
    }

    // MARK: Before

    private func facts(of text: String) throws -> [String] {
        let pair = text.split(separator: "=", maxSplits: 1).map(String.init)
        guard pair.count == 2, ["src", "dst"].contains(pair[0]) else {
            throw ValidationError("--device: expected src=DEVICE or dst=DEVICE, found '\(text)'")
        }
        return try KernelDevicePath(pair[1]).facts.map { "\(pair[0]) \(pair[1])  \($0.name): \($0.value)" }
    }

    private func attach(_ side: AttachedSide, _ address: QMPAddress) async throws -> AttachedQEMU {
        let qemu: AttachedQEMU
        do { qemu = try await AttachedQEMU(address, deadline: .after(seconds: 10)) } catch {
            throw Environment("the \(side.role.rawValue) at \(address): \(error)")
        }
        let capability = qemu.capabilities["switchover-ack"].map { $0 ? "on" : "off" } ?? "not there"
        note("\(side.role.rawValue): QEMU \(qemu.version) at \(address); switchover-ack is \(capability) now")
        guard !qemu.untraced.isEmpty else { return qemu }
        if trace {
            try await qemu.trace(qemu.untraced, isOn: true)
            note("\(side.role.rawValue): \(qemu.untraced.count) trace events are switched on until the end")
        } else {
            note(
                "\(side.role.rawValue): \(qemu.untraced.count) trace events are off, such as \(qemu.untraced[0]); what rests on them is "
                    + "not judged; --trace switches them on")
        }
        return qemu
    }

    // MARK: The migration

    private func followAndJudge(_ attached: [(side: AttachedSide, qemu: AttachedQEMU)]) async throws {
        var logs = WatchedLogs(side.map { ($0.log, $0.role == .source ? .source : .destination) })
        let failed = try await withThrowingTaskGroup(of: String?.self) { group in
            var rest = workload
            try await follow(&logs) { status in
                while let index = rest.firstIndex(where: { $0.phase == status }) {
                    let work = rest.remove(at: index)
                    group.addTask { try await run(work) }
                }
            }
            for work in rest { note("the workload of \(work.phase.rawValue) did not run: the source never had this status") }
            var failed = rest.map { "\($0.phase.rawValue)=\($0.command): it did not run" }
            for try await failure in group { if let failure { failed.append(failure) } }
            return failed
        }
        if let source = attached.first(where: { $0.side.role == .source }), let times = try? await source.qemu.times() {
            let told = [("total", times.total), ("setup", times.setup), ("downtime", times.downtime)].compactMap { name, value in
                value.map { "\(name) \($0) ms" }
            }
            if !told.isEmpty { note("the source tells: \(told.joined(separator: ", "))") }
        }
        if let refusal = logs.refusal { throw refusal }
        guard let last = logs.last else {
            throw NotEnded(description: "no migration has begun in \(side.map(\.log).joined(separator: " and "))")
        }
        try measure(last)
        guard failed.isEmpty else { throw Environment("a workload failed, so the migration is not the one asked for: \(failed[0])") }
        let names = side.map(\.log)
        let options = ["--migration", "\(logs.migrations.count)"] + (json ? ["--json"] : [])
        try CheckCommand.parse(options + names).conclude(logs.read, logs.migrations, of: names)
    }

    /// Reads the logs until the last migration has ended, the limit is over, or the command is cancelled.
    private func follow(_ logs: inout WatchedLogs, at reached: (MigrationStatus) -> Void) async throws {
        let end = limit.map { Deadline.after(seconds: $0) }
        // What is in the logs already may be a whole migration: only a later one is waited for.
        _ = try logs.update(unless: { Task.isCancelled })
        let earlier = logs.hasEnded ? logs.migrations.count : logs.migrations.count - 1
        var quiet = 0
        while !Task.isCancelled, end.map({ $0.remaining > 0 }) ?? true {
            if let news = try logs.update(unless: { Task.isCancelled }) {
                quiet = 0
                for item in news {
                    Watch.tell(item, json: json)
                    if case .status(.source, let status, _) = item { reached(status) }
                }
            } else {
                quiet += 1
            }
            if logs.hasEnded, logs.migrations.count > earlier, quiet >= Watch.quietLooks { break }
            try? await Task.sleep(for: .milliseconds(200))
        }
        _ = try logs.finish()
    }

    /// The failure in words; nil for success.
    private func run(_ work: Workload) async throws -> String? {
        note("\(work.phase.rawValue): \(work.command)")
        var options = PlatformOptions()
        options.processGroupID = 0
        options.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1))]
        let result = try await Subprocess.run(
            .name("sh"), arguments: ["-c", work.command], platformOptions: options, input: .none,
            output: .fileDescriptor(.standardError, closeAfterSpawningProcess: false),
            error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false))
        return result.terminationStatus.isSuccess ? nil : "\(work.phase.rawValue)=\(work.command): \(result.terminationStatus)"
    }

    // MARK: After

    private func measure(_ migration: JudgedMigration) throws {
        guard let log = side.first(where: { $0.role == .source })?.log else { return }
        let measures = try DeviceMeasures(log: log, isLegacy: migration.judgement.handshake.mode == .legacy)
        for device in measures.devices { say(device.line) }
        if let downtime = measures.sourceDowntime { say("source's downtime: \(milliseconds(downtime))") }
    }

    /// Events that were switched on are switched off, where the QEMU still answers.
    private func restore(_ attached: [(side: AttachedSide, qemu: AttachedQEMU)]) async {
        guard trace else { return }
        for (side, qemu) in attached where !qemu.untraced.isEmpty {
            do { try await qemu.trace(qemu.untraced, isOn: false) } catch {
                note("\(side.role.rawValue): its trace events stay on: \(error)")
            }
        }
    }
}

private func milliseconds(_ nanoseconds: Int64) -> String { String(format: "%.3f ms", Double(nanoseconds) / 1e6) }

extension DeviceMeasures.Device {
    fileprivate var line: String {
        let times = markerToACK.sorted()
        var parts = ["\(queries) queries", "\(reinits) REINITs", "\(requests) requests", "\(markers) markers"]
        if let first = times.first, let last = times.last {
            let middle = times[times.count / 2]
            parts.append("marker to ACK \(milliseconds(first)) to \(milliseconds(last)), median \(milliseconds(middle))")
        }
        parts.append("\(precopyBytes) bytes in PRE_COPY, \(stopCopyBytes) in STOP_COPY")
        parts.append(initialLeft.map { "\($0) initial bytes unread at STOP_COPY" } ?? "it did not enter STOP_COPY")
        return "device \(name): " + parts.joined(separator: "; ")
    }
}
