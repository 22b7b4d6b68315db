/// Good logs from which something was lost break no rule: an event that was not traced, a line that was torn, a head that rotation cut off.
import Foundation
import MigrationTrace
import TestSupport
import Testing

@testable import Verification

@Suite struct LogLossTests {
    struct Pair: Sendable, CustomTestStringConvertible {
        let tag: String
        let logs: [[UInt8]]
        var testDescription: String { tag }
    }

    /// Every pair of real logs in which no rule is broken.
    static let good: [Pair] = {
        let tags = (try? captureTags()) ?? []
        return Set(tags).sorted().compactMap { tag in
            let logs = ["src", "dst"].compactMap { FileManager.default.contents(atPath: logPath("\(tag).\($0).log")).map(Array.init) }
            guard logs.count == 2, findings(logs).isEmpty else { return nil }
            return Pair(tag: tag, logs: logs)
        }
    }()

    /// Of every migration in the logs; none if the logs are refused.
    static func findings(_ logs: [[UInt8]]) -> [Finding] {
        let sources = logs.enumerated().map { LogSource(name: "log \($0.offset)", bytes: $0.element) }
        return (try? judgeAll(sources))?.migrations.flatMap(\.judgement.findings) ?? []
    }

    /// ACKMATRIX_LONG_TESTS=1 tries every event and 20,000 damaged pairs.
    static let isLong = ProcessInfo.processInfo.environment["ACKMATRIX_LONG_TESTS"] == "1"

    @Test func thereAreGoodPairs() { #expect(Self.good.count >= 39) }

    /// The approvals of a legacy destination have a name of their own (11.1), and are evidence like the others.
    @Test(arguments: ["vfio-srcnew-dstlegacy-2", "lm-srcnew-dstlegacy-reinit"]) func differentModesAreFoundInPlainLogs(tag: String) throws {
        #expect(Self.findings(try Recording.capture(tag).logs).contains { $0.rule == .sameMode })
    }

    @Test(arguments: good) func noEventThatWasNotTracedIsMissed(_ pair: Pair) throws {
        var names: Set<String> = []
        for log in pair.logs {
            var reader = LogReader(log)
            while try reader.next() != nil {}
            names.formUnion(reader.namesSeen)
        }
        #expect(names.count > 5)
        // A few of them, chosen by the seed, or all.
        var random = SeededGenerator(seed: testSeed)
        let chosen = Self.isLong ? names.sorted() : Array(names.sorted().shuffled(using: &random).prefix(5))
        for name in chosen {
            for sides in Self.isLong ? [[0], [1], [0, 1]] : [[0], [1]] {
                var logs = pair.logs
                for side in sides { logs[side] = without(name, logs[side]) }
                let findings = Self.findings(logs)
                #expect(findings.isEmpty, "without \(name): \(findings.map { ($0.rule.id, $0.places, $0.found) })")
            }
        }
    }

    /// ACKMATRIX_SEED repeats a run; the seed of a message makes the pair of that message the first one.
    @Test(arguments: 0..<4) func damageIsNoFinding(part: Int) {
        let count = Self.isLong ? 20_000 : 300
        for number in 0..<count where number % 4 == part {
            let seed = testSeed &+ UInt64(number)
            let pair = Self.good[Int(seed % UInt64(Self.good.count))]
            let (logs, what) = damaged(pair.logs, seed: seed)
            let findings = Self.findings(logs)
            #expect(
                findings.isEmpty,
                "\(pair.tag), seed \(seed), \(what): \(findings.map { ($0.rule.id, $0.places.map(\.description), $0.found) })")
        }
    }

    /// Damage that looked like something else: a hole over the queries of the last steps, a line broken behind a name without arguments or
    /// before a word that looks like a name, and lines torn within a time, which looked like a program that wraps lines.
    @Test(arguments: [
        ("none-srclegacy-dstnew", UInt64(20_263_399)), ("lm-reinit-q23", 20_269_088), ("lm-final-reinit", 20_269_291),
        ("lm-final-reinit", 20_277_532), ("vfio-multifd", 20_278_492),
    ])
    func damageThatLooksLikeSomethingElseIsNoFinding(tag: String, seed: UInt64) throws {
        let pair = try #require(Self.good.first { $0.tag == tag })
        let (logs, what) = damaged(pair.logs, seed: seed)
        #expect(Self.findings(logs).isEmpty, "\(what)")
    }

    // MARK: What is there is still found

    enum Change: Sendable {
        case missing, doubled
    }

    /// Wrong things in plain logs with nothing missing that their rules need.
    static let wrongs: [(tag: String, stream: StreamName, text: String, change: Change, rule: String)] = [
        ("vfio-new-2", .destination, "loadvm_approve_switchover", .missing, "marker-approved"),
        ("vfio-new-2", .destination, "migrate_send_rp_message 7", .missing, "ack-per-approval"),
        ("vfio-new-2", .destination, "vfio_load_state_device_data", .missing, "data-written"),
        ("vfio-new-2", .source, "vfio_send_init_data_flag", .missing, "marker-due"),
        ("x-vfio-10to10-2", .destination, "loadvm_approve_switchover", .missing, "marker-approved"),
        ("vfio-new-2", .destination, "loadvm_approve_switchover", .doubled, "approval-has-marker"),
        ("vfio-new-2", .source, "vfio_send_init_data_flag", .doubled, "marker-per-request"),
        ("vfio-new-2", .source, "switchover_acked", .doubled, "ack-number"),
        ("vfio-new-2", .source, "migration_thread_low_pending", .doubled, "one-decision"),
        ("vfio-new-2", .source, "final=1", .doubled, "final-query"),
        ("x-vfio-10to10-2", .destination, "migrate_send_rp_message 7", .doubled, "legacy-one-ack"),
        ("x-vfio-10to10-2", .source, "switchover_acked", .doubled, "surplus-ack"),
    ]

    @Test(arguments: wrongs.indices) func aWrongLineIsFound(_ index: Int) throws {
        let wrong = Self.wrongs[index]
        let recording = try Recording.capture(wrong.tag)
        let line = try #require(recording.numbers(wrong.stream, wrong.text).first)
        let altered = wrong.change == .missing ? recording.removing(wrong.stream, line) : recording.doubling(wrong.stream, line)
        let findings = Self.findings(altered.logs)
        #expect(findings.contains { $0.rule.id == wrong.rule }, "\(wrong): \(findings.map(\.rule.id))")
    }

    /// The last check finds a REINIT that nothing follows up, in both logs and in the source's alone.
    @Test(arguments: ["vfio-new-1", "vfio-new-2", "lm-reinit-q23"]) func aREINITOfTheLastCheckIsFollowedUp(tag: String) throws {
        let recording = try Recording.capture(tag)
        let decision = try #require(recording.number(.source, "migration_thread_low_pending"))
        let check = try #require(recording.number(.source, "vfio_query_precopy_size ", after: decision))
        let altered = recording.replacing(.source, check, "reinit 0", "reinit 1")
        for logs in [altered.logs, [altered.logs[0]]] {
            let place = Place(stream: .source, line: check)
            #expect(Self.findings(logs).contains { $0.rule == .reinitRequests && $0.places.first == place }, "\(logs.count) logs")
        }
    }

    /// The two guests of one pair are found in every form in which logs arrive.
    @Test(arguments: forms.map(\.name)) func twoGuestsAreFoundInEveryForm(form: String) throws {
        let wrap = try #require(Self.forms.first { $0.name == form })
        let logs = try ["src", "dst"].map { side in
            let text = try String(contentsOfFile: logPath("vfio-srclegacy-dstnew-2.\(side).log"), encoding: .utf8)
            let lines = text.split(separator: "\n").enumerated().map { wrap.line($0.offset, String($0.element)) }
            return LogSource(name: "\(side).log", bytes: Array((lines.joined(separator: wrap.lineEnd) + wrap.lineEnd).utf8))
        }
        let (read, judged) = try judgeAll(logs)
        #expect(judged.flatMap { $0.judgement.broken }.contains("one-guest"), "\(judged.map(\.judgement.reason))")
        #expect(judged.first?.judgement.verdict == .twoGuests)
        if let expected = wrap.expected { #expect(read.allSatisfy { $0.summary.forms.contains(expected) }, "\(read.map(\.summary.forms))") }
    }

    /// UTF-32 as Windows and some databases export it, with and without a byte order mark.
    @Test(arguments: [true, false], [true, false]) func logsInUTF32AreRead(isBigEndian: Bool, hasMark: Bool) throws {
        let logs = try ["src", "dst"].map { side in
            let text = try String(contentsOfFile: logPath("vfio-srclegacy-dstnew-2.\(side).log"), encoding: .utf8)
            let scalars = (hasMark ? [0xFEFF] : []) + text.unicodeScalars.map(\.value)
            let bytes = scalars.flatMap { scalar in
                let bytes = (0..<4).map { UInt8(truncatingIfNeeded: scalar >> (8 * $0)) }
                return isBigEndian ? bytes.reversed() : bytes
            }
            return LogSource(name: "\(side).log", bytes: bytes)
        }
        #expect(try judgeAll(logs).migrations.first?.judgement.verdict == .twoGuests)
    }

    /// What `tail -F` and `stern` print of several logs is told apart by their names.
    @Test(arguments: ["tail", "tags"]) func bothSidesInOneFileAreToldApartByTheirNames(kind: String) throws {
        var lines: [String] = []
        let sides = try ["src", "dst"].map {
            try String(contentsOfFile: logPath("vfio-srclegacy-dstnew-2.\($0).log"), encoding: .utf8).split(separator: "\n")
        }
        for chunk in 0..<((sides.map(\.count).max() ?? 0) / 50 + 1) {
            for (name, side) in zip(["src", "dst"], sides) {
                let part = side.dropFirst(chunk * 50).prefix(50)
                if kind == "tail" { lines += ["", "==> /logs/\(name).log <=="] + part.map(String.init) }
                if kind == "tags" { lines += part.map { "[\(name).log] \($0)" } }
            }
        }
        let judged = try judgeAll([LogSource(name: "both.log", bytes: Array((lines.joined(separator: "\n") + "\n").utf8))]).migrations
        #expect(judged.count == 1 && judged.first?.judgement.verdict == .twoGuests, "\(judged.map(\.judgement.reason))")
    }

    struct Form: Sendable {
        let name: String
        var expected: String?
        var lineEnd = "\n"
        let line: @Sendable (Int, String) -> String
    }

    private static func json(_ text: String) -> String {
        text.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "\"", with: "\\\"")
    }

    private static func quoted(_ text: String) -> String { "\"\(text.replacingOccurrences(of: "\"", with: "\"\""))\"" }

    /// A line without QEMU's own time.
    private static func bare(_ line: String) -> String { line.split(separator: " ", maxSplits: 1).last.map(String.init) ?? line }

    private static func time(_ number: Int) -> String {
        "10:54:\(10 + number / 1000 % 50).\(String(1_000_000 + number % 1000 * 1000).dropFirst())"
    }

    /// The line as `simpletrace.py` prints the record of the event: the values of the format, numbers in hexadecimal of 64 bits.
    private static func simpletrace(_ line: String, _ number: Int) -> String {
        let name = line.prefix { $0 != " " }
        for form in Event.vocabulary where form.name == name {
            var (rest, arguments, format) = (line.dropFirst(name.count + 1), "", form.format[...])
            while let percent = format.firstIndex(of: "%") {
                let literal = format[..<percent]
                guard rest.hasPrefix(literal) else { break }
                rest = rest.dropFirst(literal.count)
                let kind = format[format.index(after: percent)]
                format = format[format.index(percent, offsetBy: 2)...]
                let next = format.prefix { $0 != "%" }
                let end = next.isEmpty ? rest.endIndex : rest.firstRange(of: next)?.lowerBound ?? rest.endIndex
                let value = rest[..<end]
                rest = rest[end...]
                let bits = kind == "x" ? UInt64(value, radix: 16) : UInt64(value) ?? Int64(value).map { UInt64(bitPattern: $0) }
                if kind != "s", bits == nil { break }
                arguments += " a\(arguments.count)=" + (kind == "s" ? "b'\(value)'" : "0x" + String(bits!, radix: 16))
            }
            if !format.contains("%"), rest == format { return "\(name) \(number).\(100 + number % 900) pid=4242\(arguments)" }
        }
        return "\(name) 0.001 pid=4242"
    }

    static let forms: [Form] = [
        Form(name: "as QEMU prints it") { _, line in line },
        Form(name: "monitor prompt", expected: "QEMU's monitor prompt") { $0 % 7 == 0 ? "(qemu) \($1)" : $1 },
        Form(name: "guest name", expected: "-msg guest-name=on") {
            let words = $1.split(separator: " ", maxSplits: 1)
            return "\(words[0]) web01 \(words[1])"
        },
        Form(name: "program and thread", expected: "QEMU's program and thread") {
            let words = $1.split(separator: " ", maxSplits: 1)
            return "\(words[0]) web01 qemu-system-x86_64(4242:main): \(words[1])"
        },
        Form(name: "threads of 10.0") { "4242@1795232319.\(String(1_000_000 + $0 * 7).dropFirst()):\(bare($1))" },
        Form(name: "stap", expected: "stap or dtrace") { "4242@\(1_795_949_761_000_000_000 + $0 * 1000) \(bare($1))" },
        Form(name: "ftrace", expected: "ftrace") {
            "  qemu-system-x86-4242    [001] .....   123.\(String(1_000_000 + $0).dropFirst()): tracing_mark_write: \(bare($1))"
        },
        Form(name: "syslog", expected: "journalctl -o short") { "Nov 29 10:54:49 hosta qemu-kvm[4242]: \($1)" },
        Form(name: "journalctl -o short-iso", expected: "journalctl -o short-iso") {
            "2026-11-29T10:54:49+0100 hosta qemu-kvm[4242]: \($1)"
        },
        Form(name: "journalctl -o short-precise", expected: "journalctl -o short") { "Nov 29 \(time($0)) hosta qemu-kvm[4242]: \($1)" },
        Form(name: "journalctl -o json", expected: "JSON") {
            "{\"_PID\":\"4242\",\"MESSAGE\":\"\(json($1))\",\"PRIORITY\":\"\($0 % 7)\"}"
        },
        Form(name: "Docker JSON", expected: "JSON") {
            "{\"log\":\"\(json($1))\\n\",\"stream\":\"stderr\",\"time\":\"2026-11-29T\(time($0))Z\"}"
        },
        Form(name: "KubeVirt JSON", expected: "JSON") {
            "{\"component\":\"virt-launcher\",\"level\":\"info\",\"msg\":\"\(json($1))\",\"pos\":\"x:\($0)\"}"
        },
        Form(name: "kubectl logs --timestamps", expected: "time stamps with a zone") { "2026-11-29T\(time($0))000+01:00 \($1)" },
        Form(name: "containerd", expected: "a container runtime") { "2026-11-29T\(time($0))000Z stderr F \($1)" },
        Form(name: "docker compose", expected: "docker compose") { "qemu-1  | \($1)" },
        Form(name: "avocado", expected: "avocado") {
            "2026-11-29 \(time($0).prefix(8)),000 process          L0757 INFO | [qemu output] \($1)"
        },
        Form(name: "GitLab CI", expected: "GitLab CI") { "2026-11-29T\(time($0))Z 00O \($1)" },
        Form(name: "colours", lineEnd: "\r\n") { $0 % 3 == 0 ? "\u{1B}[32m\($1)\u{1B}[0m" : $1 },
        Form(name: "zone offsets") { $1.replacingOccurrences(of: "Z ", with: "+01:00 ") },
        Form(name: "mail quote", expected: "a mail quote") { $0 % 2 == 0 ? "> \($1)" : ">> \($1)" },
        Form(name: "grep -n", expected: "grep -n") { "\($0 + 1):\($1)" },
        Form(name: "grep -nH", expected: "grep -n") { "logs/source.log:\($0 + 1):\($1)" },
        Form(name: "ts", expected: "ts") { "Nov 29 10:54:49 \($1)" },
        Form(name: "CR-only", lineEnd: "\r") { _, line in line },
        Form(name: "ftrace of several threads", expected: "ftrace") {
            " \(["CPU 0/KVM-4244", "live_migration-4243", "qemu-kvm-4242"][$0 % 3]) [001] d..2. 12.\(100_000 + $0): tracing_mark_write: \(bare($1))"
        },
        Form(name: "trace-cmd report", expected: "trace-cmd report") {
            "   live_migration-4243  [001]   123.\(100_000 + $0): print:                tracing_mark_write: \(bare($1))"
        },
        Form(name: "journalctl -o short-delta", expected: "journalctl -o short-delta") {
            "[    1.\(100_000 + $0) <    0.000100 >] hosta qemu-kvm[4242]: \($1)"
        },
        Form(name: "bytes in a journal", expected: "JSON") {
            "{\"_PID\":\"4242\",\"MESSAGE\":\(Array($1.utf8)),\"PRIORITY\":\"\($0 % 7)\"}"
        },
        Form(name: "KubeVirt JSON behind times", expected: "JSON") {
            "2026-11-29T\(time($0))000Z {\"level\":\"info\",\"msg\":\"\(json($1))\"}"
        },
        Form(name: "KubeVirt JSON of a pod", expected: "JSON") {
            "[pod/virt-launcher-x/compute] {\"level\":\"info\",\"msg\":\"\(json($1))\",\"pos\":\"x:\($0)\"}"
        },
        Form(name: "GitLab CI, continued", expected: "GitLab CI") { "2026-11-29T\(time($0))Z 01E+\(bare($1))" },
        Form(name: "gh run view", expected: "gh run view --log") { "build\tRun the tests\t2026-11-29T\(time($0))1Z \($1)" },
        Form(name: "wrapped from the middle on", expected: "journalctl -o short") {
            $0 < 100 ? $1 : "Nov 29 10:54:49 hosta qemu-kvm[4242]: \($1)"
        },
        Form(name: "stern", expected: "a prefix such as 'virt-launcher-web01 compute '") { "virt-launcher-web01 compute \($1)" },
        Form(name: "stern with colours") {
            "\u{1B}[38;5;2mvirt-launcher-web01\u{1B}[0m \u{1B}[38;5;8mcompute\u{1B}[0m \($1)"
        },
        Form(name: "a file in brackets", expected: "a prefix such as '[qemu.log] '") { "[qemu.log] \($1)" },
        Form(name: "a file in brackets, without a space") { "[qemu.log]\($1)" },
        Form(name: "tail of several files", expected: "tail") { $0 % 100 == 0 ? "\n==> /var/log/qemu.log <==\n\($1)" : $1 },
        Form(name: "CSV", expected: "CSV") {
            let header = $0 == 0 ? "\"@timestamp\",\"host\",\"message\"\n" : ""
            return header + "\"Nov 29, 2026 @ \(time($0))\",\"hosta\",\(quoted($1))"
        },
        Form(name: "CSV with the message first", expected: "CSV") { "\(quoted(bare($1))),hosta,\($0)" },
        Form(name: "libvirtd", expected: "libvirtd") {
            "2026-11-29 \(time($0).prefix(12))+0000: 4242: debug : qemuProcessReadLog:2143 : \($1)"
        },
        Form(name: "multilog", expected: "multilog") { "@4000000065f3\(String(0x1000_0000 + $0, radix: 16))00000000 \($1)" },
        Form(name: "logger -t", expected: "syslog") { "Nov 29 10:54:49 hosta qemu: \($1)" },
        Form(name: "RFC 5424 with structured data", expected: "syslog") {
            "<14>1 2026-11-29T\(time($0))Z hosta qemu 4242 ID47 [meta sequenceId=\"\($0)\"][origin ip=\"::1\" a=\"]\"] \($1)"
        },
        Form(name: "RFC 5424 without a process", expected: "syslog") { "<14>1 2026-11-29T\(time($0))Z hosta qemu - - - \($1)" },
        Form(name: "logcli", expected: "logcli") { "2026-11-29T10:54:49+01:00 {app=\"qemu\", pod=\"web01\"} \($1)" },
        Form(name: "podman logs --timestamps") { "2026-11-29T\(time($0))000+01:00 \($1)" },
        Form(name: "CloudWatch", expected: "JSON") {
            "{\"timestamp\":\(1_795_949_761_000 + $0),\"message\":\"\(json($1))\",\"ingestionTime\":1}"
        },
        Form(name: "Google Cloud", expected: "JSON") { "{\"insertId\":\"\($0)\",\"textPayload\":\"\(json($1))\",\"severity\":\"INFO\"}" },
        Form(name: "Splunk", expected: "JSON") { "{\"preview\":false,\"result\":{\"_raw\":\"\(json($1))\",\"host\":\"hosta\"}}" },
        Form(name: "aws logs tail") { "2026-11-29T\(time($0))+00:00 guests/web01 \($1)" },
        Form(name: "a prefix of a CI") { "##[step 3/7] \(time($0)) |worker-2| \($1)" },
        Form(name: "a prefix with a counter") { "line=\($0 + 1) t=\($0 * 3)ms >> \($1)" },
        Form(name: "a prefix from the middle on") { $0 < 100 ? $1 : "runner-7 \(time($0)) out: \($1)" },
        Form(name: "simpletrace", expected: "simpletrace") { simpletrace(bare($1), $0) },
        Form(name: "a grep in a journal", expected: "journalctl -o short") { "\($0 + 1):Nov 29 10:54:49 hosta qemu-kvm[4242]: \($1)" },
    ]
}
