import Foundation
import Glibc
import MigrationTrace
import QEMUPeer
import TestSupport
import Testing

/// Inputs that nobody meant, each with its exit status and what is said. Nothing that comes from outside reaches a terminal raw.
@Suite struct InputTableTests {
    /// Where a stream goes.
    enum Stream: String, Sendable {
        case captured
        /// `>&-`
        case closed
        /// `/dev/full`
        case full
        /// A pipe whose reader has gone away.
        case broken
    }

    struct Row: CustomTestStringConvertible, Sendable {
        let arguments: [String]
        let status: Int32
        let words: String
        var output = Stream.captured
        var error = Stream.captured

        init(_ arguments: [String], _ status: Int32, _ words: String, output: Stream = .captured, error: Stream = .captured) {
            (self.arguments, self.status, self.words, self.output, self.error) = (arguments, status, words, output, error)
        }

        var testDescription: String {
            arguments.joined(separator: " ") + (output == .captured ? "" : ", output \(output)")
                + (error == .captured ? "" : ", error \(error)")
        }
    }

    private static func hostile(_ name: String) -> String { TestCorpus.path("hostile/\(name).trace") }
    private static let log = TestCorpus.path("qemu/vfio-new-2.src.log")
    private static let trace = TestCorpus.path("cells/underflow.trace")

    static let traces: [Row] = [
        Row(["check", hostile("bomb1e12")], 2, "line 37"), Row(["trace", "check", hostile("bomb1e12")], 2, "1000000000000 times"),
        Row(["check", hostile("cellesc")], 2, "line 2"), Row(["trace", "check", hostile("cellesc")], 2, "`cell \\x1B[31mevil\\x07`"),
        Row(["check", hostile("c1")], 2, "no raw control character"), Row(["trace", "check", hostile("c1")], 2, "\\x9B31mred"),
        Row(["check", hostile("timehuge")], 2, "less than 9223372036 seconds"),
        Row(["trace", "check", hostile("timehuge")], 2, "found `9223372036.999999999`"),
        Row(["check", hostile("verdict-escape")], 1, "expected \\x1B[31mEVIL\\x07 as recorded"),
        Row(["trace", "check", hostile("verdict-escape")], 0, "25765 entries"),
        Row(["explain", hostile("verdict-escape")], 2, "expected a cell's folder"),
        Row(["check", "T/crlf.trace"], 2, "found CR LF"), Row(["trace", "check", "T/tail.trace"], 2, "nothing after the end"),
        Row(["trace", "check", "T/esc\u{1B}name"], 2, "esc\\x1Bname"), Row(["check", "T/esc\u{1B}name"], 2, "esc\\x1Bname"),
        Row(["check", "T/huge-fold.trace"], 1, "underflow"), Row(["trace", "check", "T/huge-fold.trace"], 0, "entries"),
    ]

    static let files: [Row] = [
        Row(["device", "check", "mock"], 0, "TAP version 14"), Row(["device", "check", "--dry-run", "mock"], 0, "1 - migration-flags"),
        Row(["device", "check", "nothing"], 2, "nothing: no such device"),
        Row(["device", "check", "/sys/class"], 2, "neither an IOMMU group"),
        Row(["device", "check", "nothing", "--script", "T/long.script"], 2, "--script is for the device mock"),
        Row(["device", "check", "mock", "--script", "T/long.script"], 2, "expected at most 65536"),
        Row(["record"], 2, "expected a command after --"), Row(["record", "--read", "T", "--device", "mock:x"], 2, "found 2 of them"),
        Row(["record", "--device", "disk"], 2, "expected kernel:PATH or mock:SCRIPT"),
        Row(["record", "--device", "kernel:nothing"], 2, "nothing: no such device"),
        Row(["record", "--device", "mock:/dev/zero"], 2, "expected at most 65536"), Row(["record", "--read", "T"], 2, "no VFIO call"),
        Row(["record", "--read", "T/pipe"], 2, "cannot be read"),
        Row(["record", "--target", "mock:x", "--", "true"], 2, "--target is for"),
        Row(["distill", trace], 2, "found a trace without recorded calls"), Row(["distill", hostile("bomb1e12")], 2, "line 37"),
        Row(["distill", "T/pipe"], 2, "found a named pipe"), Row(["distill", "T/binary.script"], 2, "line 1"),
        Row(["replay", trace], 2, "expected --strict or --tolerant, found neither"),
        Row(["replay", trace, "--strict", "--tolerant"], 2, "found both"),
        Row(["replay", trace, "--tolerant", "--free-polls"], 2, "is for"),
        Row(["replay", trace, "--strict"], 2, "found a trace without recorded calls"),
        Row(["run", "--vfio", "disk"], 2, "expected mock or kernel:DEVICE"), Row(["run", "--vfio", "kernel:a,b"], 2, "--sides engine"),
        Row(["run", "--sides", "engine", "--vfio", "kernel:nothing"], 2, "nothing: no such device"),
        Row(["run", "--sides", "engine", "--vfio", "kernel:"], 2, "no device is named"),
        Row(["script", "check", "/dev/zero"], 2, "expected at most 65536"),
        Row(["script", "check", "T/long.script"], 2, "expected at most 65536"),
        Row(["script", "check", "T"], 2, "cannot be read"), Row(["script", "check", "T/binary.script"], 2, "found byte 0x00 in column 1"),
        Row(["log", "T"], 2, "cannot read"), Row(["log", "T/pipe"], 2, "found a pipe"),
        Row(["log", "T/binary.script"], 2, "expected trace events"),
        Row(["check", "T/pipe"], 2, "found a named pipe"), Row(["script", "check", "T/pipe"], 2, "a pipe"),
        Row(["log", "/dev/zero"], 2, "found a device"), Row(["check", "/dev/zero"], 2, "found a device"),
        Row(["trace", "check", "T"], 2, "cannot read"), Row(["trace", "check", "/dev/zero"], 2, "found a device"),
        Row(["trace", "check", "T/pipe"], 2, "found a named pipe"), Row(["explain", "/dev/zero"], 2, "expected a cell's folder"),
        Row(["compare", "--recorded", "T/pipe"], 2, "Not a directory"), Row(["compare", "--recorded", "/nowhere"], 2, "No such file"),
        Row(["schedules", "--seeds", "1", "--experiment", "equal-modes", "--logs", "T/pipe"], 2, "T/pipe/equal-modes-1"),
        Row(["schedules", "--seeds", "1", "--experiment", "equal-modes", "--logs", "/dev/null"], 2, "Not a directory"),
        Row(["qemu", "fetch", "--lock", "/dev/zero"], 2, "cannot read the lock"),
        Row(["qemu", "fetch", "--lock", "T/pipe"], 2, "expected a file"),
        Row(["trace", "check", "T/binary.script"], 2, "refused"), Row(["explain", "T"], 2, "found no cell.trace"),
        Row(["list", "--sides", "engine", "--matrix", "/dev/zero"], 2, "expected"),
        Row(["list", "--sides", "engine", "--matrix", "T/binary.script"], 2, "UTF-8"),
        Row(["list", "--sides", "engine", "--matrix", "T/escape.yaml"], 2, "\\x1B[2J"),
        Row(["check", "T/nowhere\nFINDING"], 2, "nowhere"),
    ]

    static let numbers: [Row] = [
        Row(["schedules", "--first-seed", "18446744073709551615"], 2, "--first-seed: expected at most 18446744073709550615"),
        Row(["schedules", "--first-seed", "18446744073709551614", "--seeds", "1", "--experiment", "equal-modes"], 0, "1 seed from"),
        Row(["schedules", "--seeds", "9223372036854775807"], 2, "--seeds: expected 1 to 1000000000"),
        Row(["schedules", "--seeds", "0"], 2, "expected 1 to"),
        Row(["schedules", "--seeds", "-5"], 2, "--seeds: expected a number from 0, or a text that does not begin with '-', found -5"),
        Row(["schedules", "--seeds", "1", "--jobs", "9223372036854775807", "--experiment", "equal-modes"], 0, "1 seed from"),
        Row(["schedules", "--seeds", "2"], 0, "not judged: what some run must show"),
        Row(["schedules", "--first-seed", "18446744073709551616"], 2, "18446744073709551616"),
        Row(["inject", "--scenario", "no-devices", "--jobs", "9223372036854775807"], 0, "all ended with one guest"),
        Row(["inject", "--scenario", "no-devices", "--seed", "18446744073709551615"], 0, "all ended with one guest"),
        Row(
            ["inject", "--scenario", "one-device", "--place", "step.9223372036854775807:cancel"], 2, "never passes step.9223372036854775807"
        ),
        Row(["inject", "--jobs", "-1"], 2, "--jobs: expected a number from 0, or a text that does not begin with '-', found -1"),
        Row(["inject", "--jobs=-1"], 2, "expected 1 or more"),
        Row(["run", "--repeat", "-3"], 2, "--repeat: expected a number from 0, or a text that does not begin with '-', found -3"),
        Row(["run", "--seed", "-1"], 2, "--seed: expected a number from 0, or a text that does not begin with '-', found -1"),
        Row(["run", "--repeat=-3"], 2, "expected 1"),
        Row(["run", "--repeat", "9223372036854775808"], 2, "9223372036854775808"), Row(["run", "--jobs", "1.5"], 2, "1.5"),
        Row(["compare", "--seeds", "0"], 2, "expected 1 to 100000"), Row(["findings", "--repeat", "0"], 2, "expected 1"),
        Row(["experiment", "downtime", "--scale", "65"], 2, "expected 1 to 64"),
    ]

    static let words: [Row] = [
        Row(["schedules", "--seeds", "1", "--logs", ""], 2, "--logs: expected a value, found an empty text"),
        Row(["run", "--matrix="], 2, "--matrix"), Row(["check", ""], 2, "an argument: expected a value"),
        Row(["list", "--tier", String(repeating: "a", count: 100_000)], 2, "… (100"),
        Row(["--version"], 0, "ackmatrix "), Row(["\u{1B}[31m"], 2, "\\x1B[31m"), Row(["list", "--engine", "\u{9B}31m"], 2, "\\x9B31m"),
        Row(["list", "--json", "--coverage"], 2, "found --coverage"), Row(["list", "--json", "--drivers"], 2, "found --drivers"),
        Row(["list", "--json", "--sides", "engine", "--tier", "quick"], 0, "\"sides\" : \"engine\""),
        Row(["log", "--help"], 0, "below 50 MB"), Row(["check", "--help"], 0, "below 50 MB"),
        Row(["script", "check", "--help"], 0, "65536 bytes"), Row(["--help"], 0, "cannot be written"),
    ]

    /// The help of every command says what memory it takes.
    static let memory: [Row] = [
        ["run"], ["compare"], ["schedules"], ["inject"], ["list"], ["check"], ["results"], ["explain"], ["report"], ["findings"],
        ["mutants"],
        ["experiment", "downtime"], ["qemu", "list"], ["qemu", "fetch"], ["script", "check"], ["record"], ["distill"], ["replay"], ["log"],
        ["trace", "check"], ["trace-events"],
    ].map { Row(["help"] + $0, 0, $0 == ["script", "check"] ? "65536 bytes" : "emory") }

    /// Every command that prints something, with each kind of output that takes nothing.
    static let streams: [Row] = {
        let prints: [([String], Int32)] = [
            (["--help"], 0), (["--version"], 0), (["list", "--drivers"], 0), (["list", "--coverage"], 0),
            (["list", "--sides", "engine", "--tier", "quick"], 0), (["list", "--json", "--sides", "engine", "--tier", "quick"], 0),
            (["check", trace], 0), (["log", log], 0), (["trace", "check", trace], 0), (["script", "check", "T/good.script"], 0),
            (["findings"], 0), (["inject", "--scenario", "no-devices"], 0),
            (["schedules", "--seeds", "1", "--experiment", "equal-modes"], 0),
            (["explain", "engine@11.1-engine@11.1+q35-11.1"], 0), (["report", "engine@11.1-engine@11.1+q35-11.1"], 0),
            (["qemu", "fetch", "--", "--help"], 0), (["explain", "--whole", "engine@11.1-engine@11.1+q35-11.1"], 0),
            (["trace-events"], 0),
        ]
        let lost = prints.enumerated().flatMap { index, command in
            // All three for the first ones; for the others, which write in the same way, one of them in turn.
            let kinds: [Stream] = index < 2 ? [.closed, .full, .broken] : [[.closed, .full, .broken][index % 3]]
            return kinds.map { Row(command.0, 2, "standard output cannot be written", output: $0) }
        }
        let deaf = [Stream.closed, .full, .broken].flatMap { stream in
            [
                Row(["check", "/nowhere"], 2, "", error: stream), Row(["check", trace], 0, "1 checked", error: stream),
                Row(["list", "--matrix", "/nowhere"], 2, "", error: stream), Row(["no-such-command"], 2, "", error: stream),
            ]
        }
        return lost + deaf + [
            Row(["check", trace], 2, "", output: .closed, error: .closed), Row(["check", "/x"], 2, "", output: .full, error: .full),
        ]
    }()

    @Test(arguments: traces + files + numbers + words + memory) func isAnsweredInWords(row: Row) throws { try check(row) }

    @Test(arguments: streams) func aStreamThatTakesNothingIsAnswered(row: Row) throws { try check(row) }

    @Test func thereAreEnoughRows() {
        #expect(Self.traces.count + Self.files.count + Self.numbers.count + Self.words.count + Self.streams.count >= 90)
    }

    private func check(_ row: Row) throws {
        let folder = try Self.prepared.get()
        func redirected(_ stream: Stream, _ number: Int, to file: String) -> String {
            switch stream {
            case .captured: "\(number)>>'\(file)'"
            case .closed: "\(number)>&-"
            case .full: "\(number)>/dev/full"
            case .broken: "\(number)>&8"
            }
        }
        let said = "\(folder)/said-\(UUID().uuidString)"
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/bash")
        // The reader of the pipe has ended before the command starts.
        let script = """
            exec 8> >(exec true); wait $! 2>/dev/null
            exec "$0" "$@" \(redirected(row.output, 1, to: said)) \(redirected(row.error, 2, to: said)) 8>&-
            """
        let arguments = row.arguments.map { $0.hasPrefix("T/") || $0 == "T" ? folder + $0.dropFirst(1) : $0 }
        process.arguments = ["-c", script, command] + arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["ACKMATRIX_CACHE": folder]) { $1 }
        process.standardInput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        let text = String(decoding: FileManager.default.contents(atPath: said) ?? Data(), as: UTF8.self)
        #expect(process.terminationReason == .exit && process.terminationStatus == row.status, "\(process.terminationStatus): \(text)")
        let words = row.words.hasPrefix("T/") ? folder + row.words.dropFirst(1) : row.words
        #expect(words.isEmpty || text.contains(words), "\(text)")
        #expect(!text.contains("NSCocoaErrorDomain"), "\(text)")
        #expect(
            !text.unicodeScalars.contains { $0 != "\n" && $0 != "\t" && isUnsafe($0) }, "raw control characters in:\n\(escapedLines(text))")
    }

    /// A folder with files for the rows, made once and removed with the process's temporary folder.
    private static let prepared = Result {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-table-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        func write(_ name: String, _ bytes: some Sequence<UInt8>) throws {
            try Data(bytes).write(to: URL(fileURLWithPath: "\(folder)/\(name)"))
        }
        let text = try String(contentsOfFile: trace, encoding: .utf8)
        try write("crlf.trace", text.replacing("\n", with: "\r\n").utf8)
        try write("tail.trace", (text + "more\n").utf8)
        try write("esc\u{1B}name", "nothing\n".utf8)
        try write("long.script", ("ackmatrix-device 1\n" + String(repeating: "# more\n", count: 10_000)).utf8)
        try write("good.script", "ackmatrix-device 1\nhas precopy\n".utf8)
        try write("binary.script", (0...255).map { UInt8($0) } + [0xFF, 0xFE, 0x0A])
        try write("escape.yaml", "\"\\e[2J\": 1\n".utf8)
        try write("huge-fold.trace", try hugeFold())
        guard mkfifo("\(folder)/pipe", 0o600) == 0 else { throw CocoaError(.fileWriteUnknown) }
        return folder
    }

    /// An endless wait of 2^40 iterations in a file of a few KB, not judged when it was recorded.
    private static func hugeFold() throws -> [UInt8] {
        var trace = try Trace(path: trace)
        trace.header.verdict = ""
        trace.header.broken = []
        var source = FoldedStream()
        for fold in trace.source.folds {
            if case .times(let count, let block) = fold, count > 100, block.allSatisfy({ $0.step == EventNumbers.zero }) {
                source.append(.times(1 << 40, block))
            } else {
                source.append(fold)
            }
        }
        #expect(source.count > 1 << 40)
        trace.source = source
        trace.edges = []
        return trace.bytes
    }
}

/// SIGINT and SIGTERM end a command that would go on, whatever it is doing.
@Suite struct SignalTests {
    enum Work: String, CaseIterable, Sendable {
        case matrixPipe, checkInput, schedules, inject, mutants, compare, run
    }

    @Test(arguments: Work.allCases, [SIGINT, SIGTERM]) func itEndsByTheSignal(work: Work, number: Int32) throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-signal-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let pipe = folder + "/pipe"
        #expect(mkfifo(pipe, 0o600) == 0)
        let arguments: [String] =
            switch work {
            case .matrixPipe: ["list", "--sides", "engine", "--matrix", pipe]
            case .checkInput: ["check", "-"]
            case .schedules: ["schedules", "--seeds", "1000000000"]
            case .mutants: ["mutants"]
            case .compare: ["compare", "--left", "engine", "--right", "engine", "--tier", "engine"]
            case .inject: ["inject", "--all", "--jobs", "1"]
            case .run: ["run", "--sides", "engine", "--tier", "engine", "--results", folder + "/results"]
            }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["TMPDIR": folder]) { $1 }
        process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: "/dev/zero"))
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        let deadline = Deadline.after(seconds: 20)
        var writer: Int32 = -1
        while deadline.remaining > 0, process.isRunning {
            if work == .matrixPipe {
                // Opening for writing succeeds once the command has the pipe open, and waits for what comes.
                writer = open(pipe, O_WRONLY | O_NONBLOCK)
                if writer >= 0 { break }
            } else if processorTicks(process.processIdentifier) >= 30 {
                break
            }
            usleep(2_000)
        }
        #expect(process.isRunning, "\(work) ended by itself")
        kill(process.processIdentifier, number)
        let last = Deadline.after(seconds: 10)
        while process.isRunning, last.remaining > 0 { usleep(1_000) }
        let isEnded = !process.isRunning
        #expect(isEnded, "\(work) goes on after signal \(number)")
        if !isEnded { kill(process.processIdentifier, SIGKILL) }
        process.waitUntilExit()
        if writer >= 0 { close(writer) }
        #expect(process.terminationReason == .uncaughtSignal && process.terminationStatus == number)
    }

    /// User time of a process in clock ticks.
    private func processorTicks(_ process: Int32) -> Int {
        let stat = (try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)) ?? ""
        // The fields after the name, which may hold spaces; the user time is the 14th of all.
        let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
        return fields.count > 11 ? Int(fields[11]) ?? 0 : 0
    }
}
