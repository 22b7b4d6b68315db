/// libvirt's per-domain logs, made of real trace logs: banners and command lines around what QEMU wrote to stderr.
import Foundation
import MigrationTrace
import Testing

@testable import Verification

@Suite struct DomainLogTests {
    /// What libvirt writes around a process, with the lines between as they are.
    private func start(machine: String, options: [String] = [], _ lines: [String], end: String? = "shutting down, reason=migrated")
        -> [String]
    {
        let command =
            [
                "LC_ALL=C \\", "HOME=/var/lib/libvirt/qemu/domain-1-guest \\", "/usr/bin/qemu-system-x86_64 \\",
                "-name guest=guest,debug-threads=on \\", "-S \\", "-machine \(machine),usb=off,dump-guest-core=off \\",
            ] + options.map { $0 + " \\" } + ["-msg timestamp=on"]
        return ["2026-01-01 10:00:00.000+0000: starting up libvirt version: 11.3.0, qemu version: 11.1.3, kernel: 6.12, hostname: a"]
            + command + ["char device redirected to /dev/pts/1 (label charserial0)"] + lines
            + (end.map { ["2026-01-01 10:00:09.000+0000: \($0)"] } ?? [])
    }

    private func source(_ name: String, _ lines: [String]) -> LogSource {
        LogSource(name: name, bytes: Array((lines.joined(separator: "\n") + "\n").utf8))
    }

    /// As 11.1 stamps them with `-msg timestamp=on`, and 10.0.
    private func stamped(_ lines: [String], isOld: Bool) -> [String] {
        lines.enumerated().map { number, line in
            // Lines that somebody left out have no time.
            if line.hasPrefix("#") { return line }
            let fraction = String(number + 1_000_000).dropFirst()
            return (isOld ? "2376@1795232319.\(fraction):" : "2026-01-01T10:00:01.\(fraction)Z ") + line
        }
    }

    private func unstamped(_ lines: [String]) -> [String] {
        lines.map { line in
            var reader = LogReader(Array((line + "\n").utf8))
            // Events of other names have a time, too.
            return (try? reader.next())??.event?.line ?? line.replacing(#/^[0-9T:.\-]+Z /#, with: "")
        }
    }

    /// Beside each other: the judgement of a migration's own logs, and of the same in domain logs.
    @Test(arguments: ["vfio-new-1", "lm-final-legacy", "lm-final-reinit"], [false, true])
    func domainLogsAreJudgedAsTheirMigrationIs(_ capture: String, isOld: Bool) throws {
        let recording = try Recording.capture(capture)
        let lines = recording.lines.mapValues { stamped(unstamped($0), isOld: isOld) }
        let sides = [StreamName.source, .destination].filter { lines[$0] != nil }
        let plain = try judge(logs: sides.map { source("\($0)", lines[$0]!) })
        let isLegacy = capture.contains("legacy")
        let domains = sides.map { source("\($0)", start(machine: isLegacy ? "pc-q35-11.0" : "pc-q35-11.1", lines[$0]!)) }
        let (judgement, parts) = try judgeParts(of: domains)
        #expect(judgement.verdict == plain.verdict)
        #expect(judgement.broken == plain.broken)
        #expect(judgement.handshake == plain.handshake)
        #expect(parts.map(\.side) == sides)
        #expect(parts.allSatisfy { $0.start?.number == 1 && $0.starts == 1 && $0.start?.end == "shutting down, reason=migrated" })
        #expect(parts.allSatisfy { $0.start?.isLegacy == isLegacy })
    }

    @Test func theLastStartWithAMigrationIsJudged() throws {
        let failed = try Recording.capture("lm-final-reinit").lines[.source]!
        let completed = try Recording.capture("vfio-new-1").lines[.source]!
        let idle = ["qemu-system-x86_64: warning: nothing of a migration"]
        let (first, second, third) = (
            start(machine: "pc-q35-11.1", failed, end: "shutting down, reason=failed"), start(machine: "pc-q35-11.1", completed),
            start(machine: "pc-q35-10.0", idle, end: nil)
        )
        func judged(_ lines: [String]) throws -> (judgement: Judgement, parts: [LogPart]) {
            try judgeParts(of: [source("guest.log", lines)])
        }
        let whole = try judged(first + second + third)
        #expect(whole.judgement.verdict == .completed)
        #expect(whole.parts == [LogPart(side: .source, start: whole.parts[0].start, starts: 3)])
        #expect(whole.parts[0].start?.number == 2)
        #expect(whole.parts[0].start?.line == first.count + 1)
        #expect(try judged(second + first).judgement.verdict == .failed)
        // The lines of a finding are those of the file.
        let place = try judged(second + first).judgement.findings.first?.places.first?.line
        #expect(place.map { $0 > second.count } ?? true)
        // A log that was rotated begins in the middle of a start.
        let rotated = try judged(completed + third)
        #expect(rotated.judgement.verdict == .completed)
        #expect(rotated.parts[0].start == nil && rotated.parts[0].starts == 1)
    }

    @Test(arguments: [
        (["-machine pc-q35-10.0,usb=off"], true), (["-machine pc-q35-11.1"], false), (["-M type=pc-i440fx-9.2,accel=kvm"], true),
        (["-machine microvm,pcie=on"], nil), (["-machine q35"], nil), (["-machine pc-q35-10.0.1"], nil), (["-machine"], nil),
        (["-machine pc-q35-11.1", "-global migration.switchover-ack-legacy=on"], true),
        (["-global migration.switchover-ack-legacy=on", "-global migration.switchover-ack-legacy=off", "-machine pc-q35-10.0"], false),
        (["-global migration.switchover-ack-legacy=perhaps", "-machine pc-q35-10.0"], true),
    ])
    func theCommandLineTellsTheMode(_ options: [String], _ isLegacy: Bool?) throws {
        let lines =
            ["2026-01-01 10:00:00.000+0000: starting up libvirt version: 11.3.0", "/usr/bin/qemu-system-x86_64 \\"]
            + options.map { $0 + " \\" } + ["-msg timestamp=on", "migrate_set_state new state setup"]
        var reader = LogReader(Array((lines.joined(separator: "\n") + "\n").utf8))
        while try reader.next() != nil {}
        let start = reader.start
        #expect(start?.isLegacy == isLegacy)
        #expect(start?.line == 1)
    }

    /// A command line that contradicts the log is a broken rule, not a mode.
    @Test func theModeOfTheCommandLineIsHeldAgainstTheLog() throws {
        let lines = try Recording.capture("vfio-new-1").lines[.source]!
        let wrong = start(machine: "pc-q35-11.1", options: ["-global migration.switchover-ack-legacy=on"], lines)
        #expect(try judge(logs: [source("guest.log", wrong)]).broken.contains("legacy-requests"))
        #expect(try judge(logs: [source("guest.log", start(machine: "pc-q35-11.1", lines))]).findings.isEmpty)
    }

    @Test func aDomainLogWithoutAMigrationIsRefused() throws {
        let idle = start(machine: "pc-q35-11.1", ["runstate_set current_run_state 9 (running) new_state 11 (shutdown)"], end: nil)
        #expect(throws: LogRefusal.noMigration("guest.log")) { try judge(logs: [source("guest.log", idle)]) }
        let untraced = start(machine: "pc-q35-11.1", [], end: "shutting down, reason=destroyed")
        #expect(throws: LogRefusal.self) { try judge(logs: [source("guest.log", untraced)]) }
    }

    /// Memory stays bounded even for a hostile log, and nothing is concluded from what was cut.
    @Test func aHostileCommandLineIsBounded() throws {
        let long = String(repeating: "x", count: 200_000)
        let lines =
            [
                "2026-01-01 10:00:00.000+0000: starting up libvirt version: 11.3.0", "-machine \(long) \\",
                "-machine \(long.prefix(60_000)) \\",
            ]
            + (0..<1000).map { _ in "-global migration.switchover-ack-legacy=on=off \\" } + ["-global"]
            + ["2026-01-01 10:00:09.000+0000: shutting down, \(long.prefix(1000))"]
        var reader = LogReader(Array((lines.joined(separator: "\n") + "\n").utf8))
        while try reader.next() != nil {}
        let last = reader.start
        let start = try #require(last)
        #expect(start.machine?.utf8.count == 64 && start.end?.utf8.count == 80)
        #expect(start.legacyProperty == nil && start.isLegacy == nil)
    }
}
