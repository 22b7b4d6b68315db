import Foundation
import MigrationTrace
import Testing
import VFIO

/// The experiment's arithmetic, its accounts of logs, and its text; real migrations are the command's.
@testable import Experiment

struct SpreadTests {
    @Test(arguments: [([3.0], 3.0), ([5.0, 1.0, 3.0], 3.0), ([4.0, 1.0, 3.0, 2.0], 2.5)] as [([Double], Double)])
    func theMedianIsTheMiddle(values: [Double], median: Double) throws {
        let spread = try #require(Spread(values))
        #expect(spread.median == median)
        #expect(spread.least == values.min())
        #expect(spread.most == values.max())
        #expect(spread.count == values.count)
    }

    @Test func nothingHasNoMedian() { #expect(Spread([]) == nil) }

    @Test func aReductionIsOfMedians() throws {
        let without = try #require(Spread([1600, 1590, 1610]))
        let with = try #require(Spread([520]))
        #expect(without.reduction(to: with) == 67.5)
    }
}

struct DowntimeSettingTests {
    /// Whatever the scale, the times are those of the sizes and rates as they are stated.
    @Test(arguments: [1, 8, 64])
    func theScaleLeavesTheTimes(scale: Int) {
        let setting = DowntimeSetting(scale: scale)
        #expect(setting.initialMiB + setting.reinitMiB + setting.finalMiB == 1024)
        #expect(abs(setting.predictedBusy(.ignored, reinits: 1) - 1600) < 1)
        #expect(abs(setting.predictedBusy(.acknowledged, reinits: 1) - 520) < 1)
        #expect(abs(setting.predictedTotal(.ignored, reinits: 1) - 2350) < 1)
        #expect(setting.predictedTotal(.acknowledged, reinits: 8) == setting.predictedTotal(.ignored, reinits: 0))
    }

    /// All that may be unread at the decision is within the threshold: the legacy source need not read it first.
    @Test func everythingFitsTheThreshold() {
        let setting = DowntimeSetting(scale: 1)
        let most = (setting.reinitMiB + setting.finalMiB + setting.idleDevices * setting.idleMiB) << 20
        #expect(setting.threshold > most)
    }

    @Test(arguments: [0, 1, 8])
    func scriptsAreAccepted(reinits: Int) throws {
        let setting = DowntimeSetting(scale: 8)
        let scripts = setting.sourceScripts(reinits: reinits)
        #expect(scripts.count == 4)
        #expect(setting.destinationScripts.count == 4)
        for script in scripts + setting.destinationScripts { _ = try DeviceScript(script, file: "script") }
        #expect(scripts[0].split(separator: "\n").count { $0.contains("do reinit") } == min(reinits, 2))
        #expect(try DeviceScript(setting.destinationScripts[0], file: "script").gates == ["load"])
    }

    @Test func streamScriptsAreAccepted() throws {
        let stream = ReinitStream()
        for quiet in stream.quietQueries { _ = try DeviceScript(stream.sourceScript(quietQueries: quiet), file: "script") }
        _ = try DeviceScript(stream.destinationScript, file: "script")
    }
}

struct DowntimeAccountTests {
    private static let millisecond: Int64 = 1_000_000
    private static let whole: [(Event, Int64, StreamName)] = [
        (.deviceInjected(device: "v0", line: 5, action: "reinit", value: 1 << 20), 10, .sourceDevices),
        (.deviceInjected(device: "v0", line: 6, action: "estimate-dirty", value: 0), 11, .sourceDevices),
        (.sourceReturnPathThreadSwitchoverAcked(pending: 0), 90, .source),
        (.migrationThreadLowPending(size: 4096), 100, .source),
        (.vmstateDowntimeCheckpoint("src-downtime-start"), 100, .source),
        (.deviceState(device: "v0", from: .preCopy, to: .preCopyP2P), 101, .sourceDevices),
        (.deviceState(device: "v0", from: .preCopyP2P, to: .stopCopy), 102, .sourceDevices),
        (.deviceState(device: "v0", from: .stopCopy, to: .stop), 690, .sourceDevices),
        (.vmstateDowntimeLoad(.iterable, idstr: "ram", instance: 0, downtime: 9000), 110, .destination),
        (.vmstateDowntimeLoad(.iterable, idstr: "0000:00:10.0/vfio", instance: 0, downtime: 500_000), 610, .destination),
        (.vmstateDowntimeLoad(.nonIterable, idstr: "0000:00:10.0/vfio", instance: 0, downtime: 20_000), 650, .destination),
        (.deviceState(device: "v0", from: .runningP2P, to: .running), 680, .destinationDevices),
        (.vmstateDowntimeCheckpoint("dst-precopy-bh-vm-started"), 700, .destination),
    ]

    private func account(_ events: [(Event, Int64, StreamName)]) -> DowntimeAccount {
        var account = DowntimeAccount(devices: ["0000:00:10.0/vfio": "v0"])
        for (event, time, stream) in events { account.take(event, at: time * Self.millisecond, from: stream) }
        return account
    }

    @Test func aWholeLog() throws {
        let downtime = try account(Self.whole).downtime(reported: 599, migration: 900)
        #expect(downtime.total == 600)
        #expect(downtime.loads == ["v0": 520])
        #expect(downtime.stopToRunning == ["v0": 578])
        #expect(downtime.pendingAtDecision == 4096)
        #expect(downtime.reinits == 1)
        #expect(downtime.acks == 1)
        #expect(downtime.reported == 599)
    }

    /// Without any of these lines there is no number, and the missing line is named.
    @Test(arguments: [
        (3, "migration_thread_low_pending"), (4, "src-downtime-start"), (6, "STOP_COPY"), (11, "RUNNING"), (12, "dst-precopy-bh"),
    ])
    func aLogThatLacksALine(index: Int, words: String) {
        var events = Self.whole
        events.remove(at: index)
        let error = #expect(throws: DowntimeAccount.Incomplete.self) { try account(events).downtime(reported: nil, migration: 0) }
        #expect(error?.description.contains(words) == true)
    }
}

struct ReinitStreamTests {
    @Test func quietAndAcknowledgement() {
        var account = StreamAccount()
        let events: [(Event, Int64, StreamName)] = [
            (.deviceDrained(device: "v0", total: 16384), 0, .sourceDevices), (.vfioSendInitDataFlag(device: "v0"), 1, .source),
            (.deviceInjected(device: "v0", line: 6, action: "reinit", value: 16384), 20, .sourceDevices),
            (.deviceDrained(device: "v0", total: 32768), 21, .sourceDevices), (.vfioSendInitDataFlag(device: "v0"), 22, .source),
            (.sourceReturnPathThreadSwitchoverAcked(pending: 1), 52, .source),
            (.deviceInjected(device: "v0", line: 6, action: "reinit", value: 16384), 43, .sourceDevices),
            (.sourceReturnPathThreadSwitchoverAcked(pending: 1), 102, .source),
        ]
        for (event, time, stream) in events { account.take(event, at: time * 1_000_000, from: stream) }
        #expect(account.reinits == 2)
        #expect(account.quiet == 21)
        #expect(account.acknowledgement == 51)
    }

    private static func run(_ queries: Int, _ end: StreamRun.End, quiet: Double?) -> StreamRun {
        StreamRun(quietQueries: queries, end: end, reinits: 3, quiet: quiet, acknowledgement: 50, migration: 400)
    }

    @Test func theBoundaryLiesBetween() {
        let runs = [
            Self.run(10, .neverFree, quiet: 11), Self.run(45, .neverFree, quiet: 51), Self.run(45, .completed, quiet: 53),
            Self.run(50, .failedAtLastCheck, quiet: 56), Self.run(50, .completed, quiet: 56), Self.run(60, .completed, quiet: 66),
            Self.run(100, .completed, quiet: nil),
        ]
        let boundary = Boundary(runs, ReinitStream())
        #expect(boundary.points.map(\.quiet) == [11, 52, 56, 66, 100])
        #expect(boundary.longestEndless == 52)
        #expect(boundary.shortestCompleted == 66)
        #expect(boundary.acknowledgement == 50)
    }
}

struct DowntimeReportTests {
    private static func downtime(_ total: Double, _ busy: Double, migration: Double) -> Downtime {
        Downtime(
            total: total, reported: total, loads: ["v0": busy], stopToRunning: ["v0": total], pendingAtDecision: 0, reinits: 1, acks: 1,
            migration: migration)
    }

    private static var results: DowntimeResults {
        let setting = DowntimeSetting()
        var results = DowntimeResults(qemu: "11.1.3", machine: "pc-q35-11.1", setting: setting, stream: ReinitStream())
        results.comparison = Answer.allCases.map { .init($0, reinits: 1, setting) }
        results.comparison[0].runs = [
            downtime(2400, 1600, migration: 3000), downtime(2380, 1610, migration: 3100), downtime(2500, 1590, migration: 3050),
        ]
        results.comparison[1].runs = [downtime(1320, 520, migration: 3400)]
        var many = DowntimeResults.Group(.acknowledged, reinits: 8, setting)
        many.runs = [downtime(1330, 520, migration: 11800)]
        results.numbers = results.comparison + [many]
        results.convergence = [
            StreamRun(quietQueries: 10, end: .neverFree, reinits: 40, quiet: 11, acknowledgement: 52, migration: 500),
            StreamRun(quietQueries: 80, end: .completed, reinits: 1, quiet: 90, acknowledgement: 52, migration: 250),
        ]
        return results
    }

    @Test func theReportSaysWhatWasMeasuredBesideWhatWasPublished() {
        let report = Self.results.report
        #expect(
            report.contains {
                $0.hasPrefix("total, source's stop to destination's start  2400 (2380-2500)") && $0.hasSuffix("1320      -45 %")
            })
        #expect(report.contains { $0.hasPrefix("  published") && $0.hasSuffix("2352         1335      -43 %") })
        #expect(report.contains { $0.hasPrefix("busy device, its own share") && $0.hasSuffix("-68 %") })
        #expect(
            report.contains(
                "One or many: acknowledged, 8 REINITs cost 1330 ms of downtime, 1 cost 1320 ms; what each adds is migration time, 1200 ms.")
        )
        #expect(
            report.contains(
                "A stream converges while the device is quiet for longer than its new initial bytes take to be acknowledged (52 ms here): all completed from 90 ms of quiet on, and up to 11 ms some went on forever."
            ))
        #expect(report.allSatisfy { $0.last != " " })
    }

    @Test func resultsAreKept() throws {
        let results = Self.results
        let data = try JSONEncoder().encode(results)
        #expect(try JSONDecoder().decode(DowntimeResults.self, from: data) == results)
    }
}
