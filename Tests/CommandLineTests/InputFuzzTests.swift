import Foundation
import Glibc
import MigrationTrace
import QEMUPeer
import TestSupport
import Testing
import VFIO
import Verification

@testable import Matrix
@testable import Reports
@testable import Running

/// Whatever is in a file, reading it ends: with what it holds or with a refusal, never with a crash, and soon.
///
/// Files of each kind are mutated at random, by bytes and by lines, and read in this process, so that a minute tries many thousands. Command
/// lines are tried in processes of their own. A crash ends the test process; the file ackmatrix-fuzz-KIND-PID in TMPDIR then
/// names the input.
///
///     ACKMATRIX_FUZZ_SECONDS=1200 ACKMATRIX_SEED=7 swift test --filter InputFuzzTests
@Suite(.serialized) struct InputFuzzTests {
    static let seconds = ProcessInfo.processInfo.environment["ACKMATRIX_FUZZ_SECONDS"].flatMap { Double($0) } ?? 20
    /// A reader that needs more of a processor's time than this hangs.
    static let longest = 5.0

    @Test(arguments: FuzzedKind.allCases) func readingEnds(kind: FuzzedKind) throws {
        let originals = try kind.originals()
        #expect(!originals.isEmpty)
        let share = Self.seconds / Double(FuzzedKind.allCases.count + 1)
        let clock = ContinuousClock()
        let end = clock.now + .seconds(share)
        var (count, accepted, slowest) = (0, 0, 0.0)
        let note = CurrentInput(kind)
        defer { note.end() }
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-fuzz-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        while clock.now < end || count < 20 {
            // Each input has a seed of its own, so that one can be made again without those before it.
            var generator = SeededGenerator(seed: testSeed ^ UInt64(count) &* 0x9E37_79B9_7F4A_7C15)
            let original = originals[Int.random(in: 0..<originals.count, using: &generator)]
            let bytes = mutated(original, others: originals, &generator)
            note.begin(count)
            let began = processorSeconds()
            if try kind.read(bytes, folder: folder) { accepted += 1 }
            let used = processorSeconds() - began
            slowest = max(slowest, used)
            #expect(used < Self.longest, "\(kind) \(count) of seed \(testSeed) took \(used) s of a processor; \(bytes.count) bytes")
            count += 1
        }
        print(
            "fuzz: \(kind): \(count) inputs, \(accepted) of them accepted, the slowest took "
                + String(format: "%.2f s; peak memory of the process %d MB (seed \(testSeed))", slowest, peakMegabytes()))
        // A log has no grammar: what is no event is counted, so that nearly every mutated log can be judged.
        #expect(kind == .log || accepted < count, "no mutation was refused")
    }

    /// Command lines end with 0, 1 or 2, and check also with 3; one that would go on is ended by a signal.
    @Test func commandLinesEnd() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/ackmatrix-fuzz-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let share = Self.seconds / Double(FuzzedKind.allCases.count + 1)
        let clock = ContinuousClock()
        let end = clock.now + .seconds(share)
        var (count, statuses, stopped, peak) = (0, [Int32: Int](), 0, 0)
        while clock.now < end || count < 8 {
            var generator = SeededGenerator(seed: testSeed ^ UInt64(count) &* 0x9E37_79B9_7F4A_7C15)
            let arguments = try commandLine(in: folder, &generator)
            let ended = try runBriefly(arguments, folder: folder)
            peak = max(peak, ended.megabytes)
            let place = "command line \(count) of seed \(testSeed): \(arguments)"
            if ended.wasStopped {
                stopped += 1
                #expect(ended.signal == SIGINT, "\(place) did not end by SIGINT")
            } else {
                #expect(ended.signal == nil, "\(place) died of signal \(ended.signal ?? 0)")
                // Only check has 3: a migration that has not ended yet.
                let isKnown = 0...2 ~= ended.status || ended.status == 3 && arguments.first == "check"
                #expect(isKnown, "\(place) exits \(ended.status)")
                statuses[ended.status, default: 0] += 1
            }
            #expect(!ended.text.unicodeScalars.contains { $0 != "\n" && $0 != "\t" && isUnsafe($0) }, "\(place): \(escaped(ended.text))")
            count += 1
        }
        let list = statuses.sorted { $0.key < $1.key }.map { "\($0.value) exit \($0.key)" }.joined(separator: ", ")
        print("fuzz: command lines: \(count), \(list), \(stopped) ended by SIGINT; peak memory of one \(peak) MB (seed \(testSeed))")
    }
}

/// The kinds of files that somebody else may have written.
enum FuzzedKind: String, CaseIterable, Sendable, CustomStringConvertible {
    case matrix, deviations, differences, findings, results, trace, log, script

    var description: String { rawValue }

    func originals() throws -> [[UInt8]] {
        func files(_ paths: [String]) throws -> [[UInt8]] { try paths.map { try [UInt8](Data(contentsOf: URL(fileURLWithPath: $0))) } }
        func all(_ folder: String, _ suffix: String, atMost: Int) throws -> [[UInt8]] {
            try files(
                FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(suffix) }.sorted().map { "\(folder)/\($0)" }
            )
            .filter { $0.count <= atMost }
        }
        switch self {
        case .matrix: return try files([repositoryFile("harness/matrix/default.yaml")])
        case .deviations, .differences, .findings: return try files([repositoryFile("harness/matrix/\(rawValue).yaml")])
        case .results:
            let line = try files([repositoryFile("Tests/ReportsTests/Golden/result.json")])[0].filter { $0 != 0x0A }
            let header = RunHeader(
                tool: .init(version: "1", commit: "a", digest: "b"), binaries: [.init(name: "11.1", version: "11.1.3", file: nil)],
                shim: nil,
                matrix: .init(path: "/m", digest: "a"), deviations: .init(path: "/d", digest: "a"), options: [.init("--seed", "5")],
                otherOptions: [], rounds: 2, cells: CellTally(["c"]), shard: Shard("1/2"), isWhole: true, skipped: SkippedCells())
            return [line + [0x0A] + line + [0x0A], try [UInt8](header.jsonLine()) + line + [0x0A]]
        case .trace:
            return try all(TestCorpus.path("hostile"), ".trace", atMost: 64 << 10)
                + all(TestCorpus.path("cells"), ".trace", atMost: 64 << 10)
        case .log: return try all(TestCorpus.path("qemu"), ".log", atMost: 64 << 10)
        case .script:
            return try
                (files([repositoryFile("harness/vfio/include/device_script.h")])
                + TestCorpusScripts.texts.map { Array($0.utf8) })
        }
    }

    /// Reads the bytes as the product does; true if they are accepted. Throws what is no refusal.
    func read(_ bytes: [UInt8], folder: String) throws -> Bool {
        let text = String(decoding: bytes, as: UTF8.self)
        let axes = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"), cached: true).axes
        switch self {
        case .matrix: return (try? MatrixFile(text, file: "m", vocabulary: .cells)) != nil
        case .deviations: return (try? DeviationFile(text, file: "d", axes: axes)) != nil
        case .differences: return (try? DifferenceList(text, file: "d", axes: axes)) != nil
        case .findings: return (try? FindingsFile(text, file: "f", known: [])) != nil
        case .results: return (try? ResultLog.lines(Data(bytes), path: "r")) != nil
        case .script: return (try? DeviceScript(text, file: "s")) != nil
        case .trace:
            guard let trace = try? Trace(TraceReader(bytes)) else { return false }
            _ = judge(trace)
            // What is accepted can be written and read again.
            let again = try Trace(TraceReader(trace.bytes))
            #expect(again == trace, "a trace that was accepted differs when it is written and read again")
            return true
        case .log:
            let source = LogSource(name: "l", bytes: bytes)
            var reader = LogReader(bytes)
            while let line = try reader.next() { #expect(line.position.line > 0) }
            let path = folder + "/l.log"
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            #expect(try FoldingCheck(path: path).isLossless, "folding and unfolding gives other events")
            return (try? judge(logs: [source])) != nil
        }
    }
}

extension MatrixFile {
    /// The shipped file, read once.
    fileprivate init(path: String, cached: Bool) throws { self = try Self.shipped.get() }

    private static let shipped = Result { try MatrixFile(path: repositoryFile("harness/matrix/default.yaml")) }
}

/// Scripts that use the whole grammar.
private enum TestCorpusScripts {
    static let texts = [
        """
        ackmatrix-device 1
        has precopy p2p reinit
        initial 64K
        stop-copy 256K
        drained enomsg
        cost precopy-info 10us
        rate write 100M/s
        on query 2 do reinit 8K
        on state PRE_COPY_P2P when=1 do error
        on call set-state when=3..9+2 do error

        """,
        "ackmatrix-device 1\nhas precopy\n# a comment\ninitial 1M\non read 4096 when=1 do hold gate-a\n",
    ]
}

// MARK: Mutation

private let interestingTexts = [
    "0", "-1", "1", "255", "65536", "2147483648", "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
    "18446744073709551615", "18446744073709551616", "1099511627776", "1e999", "0x", "nan", "\u{1B}[2J", "\u{9B}31m", "\u{202E}", "\u{0}",
    "\r\n",
    "\\x0a", "%s%n", "'; rm", "\"", "{", "[", "&a", "*a", "!!binary ", "...", "---", "\t", "🏴", "repeat 1099511627776 1", "e * - ",
]

/// One to eight changes of any kind.
private func mutated(_ original: [UInt8], others: [[UInt8]], _ generator: inout SeededGenerator) -> [UInt8] {
    var bytes = original
    for _ in 0..<Int.random(in: 1...8, using: &generator) {
        let place = Int.random(in: 0...bytes.count, using: &generator)
        let length = min(bytes.count - place, 1 << Int.random(in: 0...9, using: &generator))
        switch Int.random(in: 0..<9, using: &generator) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: bytes.insert(contentsOf: (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }.prefix(8), at: place)
        case 3: bytes.removeSubrange(place..<place + length)
        case 4: bytes.insert(contentsOf: bytes[place..<place + length], at: place)
        case 5:
            let other = others[Int.random(in: 0..<others.count, using: &generator)]
            let from = Int.random(in: 0...other.count, using: &generator)
            bytes.insert(contentsOf: other[from..<min(from + 300, other.count)], at: place)
        case 6: bytes.insert(contentsOf: interestingTexts.randomElement(using: &generator)!.utf8, at: place)
        case 7: replaceNumber(&bytes, from: place, &generator)
        default: swapLines(&bytes, &generator)
        }
    }
    // Repeated growth alone makes no new case.
    return Array(bytes.prefix(256 << 10))
}

private func replaceNumber(_ bytes: inout [UInt8], from place: Int, _ generator: inout SeededGenerator) {
    guard let start = bytes[place...].firstIndex(where: { $0 &- 0x30 <= 9 }) else { return }
    let end = bytes[start...].firstIndex { $0 &- 0x30 > 9 } ?? bytes.count
    bytes.replaceSubrange(start..<end, with: interestingTexts.prefix(14).randomElement(using: &generator)!.utf8)
}

private func swapLines(_ bytes: inout [UInt8], _ generator: inout SeededGenerator) {
    var lines = bytes.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
    let (a, b) = (Int.random(in: 0..<lines.count, using: &generator), Int.random(in: 0..<lines.count, using: &generator))
    lines.swapAt(a, b)
    bytes = Array(lines.joined(separator: [0x0A]))
}

// MARK: Command lines

/// Commands that read what they are given, with numbers and files of all kinds.
private func commandLine(in folder: String, _ generator: inout SeededGenerator) throws -> [String] {
    let number = interestingTexts.prefix(16).randomElement(using: &generator)!
    let word = interestingTexts.filter { !$0.contains("\u{0}") }.randomElement(using: &generator)!
    let kind = FuzzedKind.allCases.randomElement(using: &generator)!
    let originals = try kind.originals()
    let path = folder + "/input.\(kind)"
    let bytes = mutated(originals.randomElement(using: &generator)!, others: originals, &generator)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let lines: [[String]] = [
        ["check", path], ["check", path, path], ["log", path], ["trace", "check", path], ["script", "check", path], ["check", word],
        ["run", "--jobs", number, "--no-such-option"], ["run", "--repeat", number, "--seed", word, "--engine", word],
        ["list", "--sides", "engine", "--tier", "quick", "--matrix", path], ["list", "--drivers", "--tier", word],
        ["schedules", "--seeds", number, "--first-seed", number], ["schedules", "--first-seed", number, "--seeds", "1"],
        ["schedules", "--seeds", "3", "--jobs", number], ["inject", "--seed", number, "--scenario", "no-devices"],
        ["inject", "--scenario", "no-devices", "--jobs", number],
        ["inject", "--scenario", "one-device", "--place", "step.\(number):cancel"],
        ["inject", "--scenario", "one-device", "--place", "source.v0.set-state.\(number):eio"],
        ["compare", "--seeds", number, "--left", path, "--right", path, "--sides"], ["explain", path], ["explain", word],
        ["list", "--sides", "engine", "--cell", word], ["findings", "--repeat", number, "--only", word, "--reproduce", "--matrix", path],
        [word], [word, word], ["--help", word],
    ]
    return lines.randomElement(using: &generator)!
}

private struct Ended {
    var text = ""
    var status: Int32 = 0
    var signal: Int32?
    var wasStopped = false
    var megabytes = 0
}

/// Runs the command without any QEMU, and sends SIGINT if it goes on for seconds.
private func runBriefly(_ arguments: [String], folder: String) throws -> Ended {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: command)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(["ACKMATRIX_CACHE": folder, "TMPDIR": folder]) { $1 }
    let output = folder + "/output"
    try Data().write(to: URL(fileURLWithPath: output))
    let file = try #require(FileHandle(forWritingAtPath: output))
    process.standardOutput = file
    process.standardError = file
    process.standardInput = FileHandle.nullDevice
    try process.run()
    var ended = Ended()
    let deadline = Deadline.after(seconds: 3)
    while process.isRunning, deadline.remaining > 0 {
        ended.megabytes = max(ended.megabytes, peakMegabytes(of: "\(process.processIdentifier)"))
        usleep(5_000)
    }
    if process.isRunning {
        ended.wasStopped = true
        kill(process.processIdentifier, SIGINT)
        let last = Deadline.after(seconds: InputFuzzTests.longest)
        while process.isRunning, last.remaining > 0 { usleep(5_000) }
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }
    process.waitUntilExit()
    if process.terminationReason == .uncaughtSignal {
        ended.signal = process.terminationStatus
        // It may have ended by itself right before the signal.
    } else {
        ended.status = process.terminationStatus
        ended.wasStopped = false
    }
    ended.text = String(decoding: try Data(contentsOf: URL(fileURLWithPath: output)), as: UTF8.self)
    return ended
}

// MARK: Measures

/// The processor time of this thread, in seconds: a busy machine makes no reader slow.
private func processorSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

/// The most memory that a process has had; 0 if it is gone.
private func peakMegabytes(of process: String = "self") -> Int {
    let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) / 1024
}

/// Says which input is being read if that never ends or ends the process.
private final class CurrentInput: Sendable {
    private let kind: FuzzedKind
    private let file: Int32
    private let path: String

    init(_ kind: FuzzedKind) {
        self.kind = kind
        path = FileManager.default.temporaryDirectory.path + "/ackmatrix-fuzz-\(kind)-\(getpid())"
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    }

    func begin(_ number: Int) {
        let text = "\(kind) \(number) of seed \(testSeed)".padding(toLength: 80, withPad: " ", startingAt: 0) + "\n"
        _ = text.withCString { pwrite(file, $0, strlen($0), 0) }
    }

    /// The file stays only after a crash.
    func end() {
        close(file)
        unlink(path)
    }
}
