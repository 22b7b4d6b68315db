/// The checks of a driver, made on the mock: the mock keeps every statement, and a script that breaks one is found by its line.
import DeviceCheck
import Foundation
import TestSupport
import Testing
import VFIO

@Suite struct DeviceCheckTests {
    private static func results(_ script: String, isDestructive: Bool = true) throws -> [CheckResult] {
        let script = try DeviceScript("ackmatrix-device 1\n" + script, file: "script")
        let device = MockMigrationDevice(name: "a", script: script) { _ in }
        let target = MockMigrationDevice(name: "b", script: script) { _ in }
        var results: [CheckResult] = []
        try CheckRun(isDestructive: isDestructive, seed: 1).run(on: device, target: target) { results.append($0) }
        return results
    }

    private static func names(_ results: [CheckResult], where holds: (CheckResult.Outcome) -> Bool) -> [String] {
        results.filter { holds($0.outcome) }.map(\.check.name)
    }

    private static func deviations(_ results: [CheckResult]) -> [String] {
        names(results) { if case .deviates = $0 { true } else { false } }
    }

    private static func skips(_ results: [CheckResult]) -> [String] {
        names(results) { if case .skipped = $0 { true } else { false } }
    }

    /// A script that provokes what the checks of re-initialisation wait for.
    private static let full = "on session-query 3 do reinit 4K\n"

    @Test func everyCheckHasAName() {
        #expect(Set(allChecks.map(\.name)).count == allChecks.count)
        #expect(allChecks.count > 100)
    }

    @Test(arguments: [
        full, full + "initial 16\nstop-copy 16\n", full + "initial 0\nstop-copy 3M\n", full + "info-v2 no\n", "has stop-copy\n",
        "has precopy\n", "has p2p\n",
    ])
    func theMockKeepsEveryStatement(script: String) throws {
        let results = try Self.results(script)
        #expect(results.count == allChecks.count)
        for result in results {
            if case .deviates(let expected, let found) = result.outcome {
                Issue.record("\(result.check.name): expected: \(expected); found: \(found)")
            }
        }
    }

    /// With all abilities only these are left out, because the mock has one opener, no poll() and no lseek().
    @Test func whatTheMockCannotShow() throws {
        #expect(Self.skips(try Self.results(Self.full)) == ["state-missing", "seek", "open-twice", "poll-data"])
    }

    @Test func destructiveChecksAreSkippedUnlessAskedFor() throws {
        let skipped = Set(Self.skips(try Self.results(Self.full, isDestructive: false)))
        #expect(skipped.isSuperset(of: allChecks.filter(\.isDestructive).map(\.name)))
        #expect(Self.deviations(try Self.results(Self.full, isDestructive: false)).isEmpty)
    }

    @Test(arguments: [
        ("drained 0\n", ["read-drained"]),
        ("estimate stop-copy 0\n", ["size-real"]),
        ("estimate initial 64\n", ["initial-falls"]),
        ("on call data-size do fail EINVAL\n", ["size-anywhere", "size-real"]),
        ("on call dma-logging-stop do fail EIO\n", ["logging-start-stop", "logging-twice", "logging-report"]),
        ("on session-query 1 do dirty 4K\n", []),
    ])
    func aDeviationIsFoundByItsLine(script: String, expected: [String]) throws {
        #expect(Self.deviations(try Self.results(Self.full + script)) == expected)
    }

    @Test func aDeviceThatCannotRunAgainEndsTheChecks() throws {
        #expect(throws: CheckRun.Failure.self) {
            try Self.results("on state STOP do error\non call reset do fail EIO\n")
        }
    }

    /// The lab's list says which check finds which defect of its driver: both sides of it exist, and no defect is left out.
    @Test func eachDefectOfTheLabHasItsCheck() throws {
        let list = try String(contentsOfFile: repositoryFile("harness/lab/defects"), encoding: .utf8).split(separator: "\n").filter {
            !$0.hasPrefix("#")
        }
        .map { $0.split(separator: " ").map(String.init) }
        let driver = try String(contentsOfFile: repositoryFile("harness/lab/driver/defects.c"), encoding: .utf8)
        let defects = driver.matches(of: /\] = "([a-z0-9-]+)",/).map { String($0.1) }
        #expect(defects.count >= 16)
        #expect(list.map { $0[0] } == ["mtty"] + defects)
        let names = Set(allChecks.map(\.name))
        for line in list { for check in line.dropFirst() { #expect(names.contains(check), "\(line[0]): no check is called \(check)") } }
    }

    @Test func tapNumbersEachLine() throws {
        let results = try Self.results("drained 0\n")
        let lines = results.enumerated().flatMap { TAPReport.lines($1, number: $0 + 1) }
        #expect(TAPReport.head([]) == ["TAP version 14", "1..\(allChecks.count)"])
        #expect(lines.contains("ok 1 - migration-flags: MIGRATION has STOP_COPY and no unknown flag"))
        let place = try #require(lines.firstIndex { $0.hasPrefix("not ok") })
        #expect(lines[place].contains(" - read-drained: "))
        #expect(
            Array(lines[(place + 1)...(place + 5)]) == [
                "  ---", "  expected: \"read() in PRE_COPY after all data was read fails with ENOMSG\"", "  found: \"0\"",
                "  reference: \"linux/vfio.h, VFIO_DEVICE_STATE_PRE_COPY\"", "  ...",
            ])
    }
}
