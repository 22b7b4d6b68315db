/// Logs of QMP: what the monitor's events and replies tell is judged, and what they do not tell is not.
import Foundation
import MigrationTrace
import Testing

@testable import Verification

@Suite struct MonitorLogTests {
    /// How a line of QMP is logged.
    struct Form: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let lines: @Sendable (String) -> [String]
    }

    static let forms = [
        Form(testDescription: "as it is") { [$0] },
        Form(testDescription: "libvirtd's debug log") {
            [
                "2026-11-29 10:54:49.123+0000: 4242: debug : qemuMonitorJSONIOProcessLine:191 : Line [\($0)]",
                "2026-11-29 10:54:49.123+0000: 4242: info : qemuMonitorJSONIOProcessLine:208 : QEMU_MONITOR_RECV_EVENT: mon=0x7f event=\($0)",
                "2026-11-29 10:54:49.124+0000: 4242: debug : virObjectUnref:381 : OBJECT_UNREF: obj=0x7f",
            ]
        },
        Form(testDescription: "libvirtd in a journal") {
            ["Nov 29 10:54:49 hosta libvirtd[99]: 4242: info : x:208 : QEMU_MONITOR_RECV_EVENT: mon=0x7f event=\($0)"]
        },
        Form(testDescription: "Python") { [$0.replacingOccurrences(of: "\"", with: "'")] },
        Form(testDescription: "ts") { ["Nov 29 10:54:49 \($0)"] },
    ]

    private static func event(_ name: String, _ data: String = "{}") -> String {
        "{\"timestamp\": {\"seconds\": 1795231981, \"microseconds\": 128}, \"event\": \"\(name)\", \"data\": \(data)}"
    }

    private static func status(_ status: String) -> String { event("MIGRATION", "{\"status\": \"\(status)\"}") }

    private static func device(_ state: String) -> String {
        event("VFIO_MIGRATION", "{\"device-id\": \"v0\", \"qom-path\": \"/machine/peripheral/v0\", \"device-state\": \"\(state)\"}")
    }

    static let switchover = [
        status("setup"), device("pre-copy"), status("active"), event("STOP"), status("device"), device("stop-copy"),
    ]
    static let completed = switchover + [device("stop"), status("completed")]
    static let resumed = switchover + [device("running-p2p"), device("running"), event("RESUME"), status("failed")]
    static let loaded = [
        status("setup"), status("active"), device("resuming"), device("running-p2p"), device("running"), event("RESUME"),
        status("completed"),
    ]

    private func judged(_ logs: [[String]]) throws -> JudgedMigration {
        let sources = logs.enumerated().map {
            LogSource(name: "log \($0.offset)", bytes: Array(($0.element.joined(separator: "\n") + "\n").utf8))
        }
        return try #require(try judgeAll(sources).migrations.last)
    }

    @Test(arguments: forms) func twoGuestsAreFound(_ form: Form) throws {
        for logs in [[Self.resumed, Self.loaded], [Self.loaded, Self.resumed]] {
            let migration = try judged(logs.map { $0.flatMap(form.lines) })
            #expect(
                migration.judgement.verdict == .twoGuests && migration.judgement.broken == ["one-guest"], "\(migration.judgement.reason)")
        }
    }

    @Test(arguments: forms) func aGoodMigrationBreaksNothing(_ form: Form) throws {
        for logs in [[Self.completed, Self.loaded], [Self.completed]] {
            let judgement = try judged(logs.map { $0.flatMap(form.lines) }).judgement
            #expect(judgement.verdict == .completed && judgement.findings.isEmpty, "\(judgement.findings)")
            #expect(judgement.unjudged.contains { $0.rules.contains("ack-number") })
        }
    }

    /// A wait that somebody stopped, and a guest that was paused before.
    @Test func aGuestThatWasPausedOnRequestIsNotLost() throws {
        let failed = [Self.status("setup"), Self.device("resuming"), Self.status("active"), Self.status("failed")]
        let paused = [Self.event("STOP")] + Self.switchover.filter { !$0.contains("STOP") } + [Self.status("failed")]
        let cancelled = [
            Self.status("setup"), Self.status("active"), Self.event("STOP"), Self.status("cancelling"), Self.status("cancelled"),
        ]
        for source in [paused, cancelled] { #expect(try judged([source, failed]).judgement.findings.isEmpty) }
    }

    /// Replies tell a status that was reached some time before, so those between are missing and not skipped.
    @Test func repliesMissStatuses() throws {
        func reply(_ status: String, _ more: String = "") -> String {
            "{\"return\": {\"status\": \"\(status)\"\(more)}, \"id\": \"libvirt-1\"}"
        }
        let source = [reply("setup"), reply("active"), reply("active"), Self.event("STOP"), reply("completed", ", \"downtime\": 12")]
        let destination = [reply("active"), Self.event("RESUME"), reply("completed")]
        let judgement = try judged([source, destination]).judgement
        #expect(judgement.verdict == .completed && judgement.findings.isEmpty, "\(judgement.findings)")
        let running = [reply("device"), Self.event("STOP"), Self.event("RESUME"), reply("failed", ", \"error-desc\": \"no memory\"")]
        let split = try judged([running, destination])
        #expect(split.judgement.broken.contains("one-guest"))
        #expect(split.cause == "source:4: no memory")
    }

    /// A log of QEMU that has both would tell each status twice.
    @Test func traceEventsAreNotToldTwice() throws {
        let recording = try Recording.capture("vfio-new-2")
        let doubled = recording.lines[.source]!.flatMap { line in
            line.split(separator: " ").last.map { line.contains("migrate_set_state") ? [line, Self.status(String($0))] : [line] } ?? [line]
        }
        let judgement = try judged([doubled, recording.lines[.destination]!]).judgement
        #expect(judgement.verdict == .completed && judgement.findings.isEmpty)
    }
}
