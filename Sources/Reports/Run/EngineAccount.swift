/// The engine's share of a run: how many cells, and how fast.
import Foundation
import Glibc
import Matrix
import Running

struct EngineAccount {
    /// Wall time of all rounds.
    private(set) var seconds = 0.0
    /// The number of rounds that began, and what the first of them took.
    private(set) var roundCount = 0
    private var rounds: [(cells: Int, seconds: Double)] = []
    /// The most rounds whose speeds are compared.
    private static let mostRounds = 1000
    private var began: ContinuousClock.Instant?
    private var beganProcessor = 0.0
    private var cells = 0
    private var events = 0
    private var processorSeconds = 0.0
    private var many = 0
    private let clock = ContinuousClock()

    mutating func beginRound() {
        began = clock.now
        beganProcessor = Self.processorSeconds
        roundCount += 1
        if rounds.count < Self.mostRounds { rounds.append((0, 0)) }
    }

    mutating func append(_ result: CellResult) {
        cells += 1
        if roundCount == rounds.count, let last = rounds.indices.last { rounds[last].cells += 1 }
        events += result.events
        let devices = result.cell.lastForecast.scenario.devices
        if roundCount == 1, devices.count >= 4, devices.contains(where: { $0.reinits >= 2 }) { many += 1 }
    }

    mutating func endRound() {
        guard let began else { return }
        let passed = (clock.now - began) / .seconds(1)
        if roundCount == rounds.count, let last = rounds.indices.last { rounds[last].seconds = passed }
        seconds += passed
        processorSeconds += Self.processorSeconds - beganProcessor
        self.began = nil
    }

    /// The speed: the median of several rounds.
    var lines: [String] {
        let speeds = rounds.filter { $0.seconds > 0 }.map { Double($0.cells) / $0.seconds }.sorted()
        guard let least = speeds.first, let most = speeds.last, cells > 0 else { return [] }
        let middle = speeds.count / 2
        let median = speeds.count.isMultiple(of: 2) ? (speeds[middle - 1] + speeds[middle]) / 2 : speeds[middle]
        let speed =
            speeds.count > 1
            ? String(
                format: "median of \(roundCount > rounds.count ? "the first " : "")%d rounds %.0f cells a second (%.0f to %.0f)",
                speeds.count, median, least, most)
            : String(format: "%.0f cells a second", median)
        return [
            "engine: \(rounds[0].cells) cells, \(many) of them with 4 or more devices and 2 or more REINITs; \(speed); "
                + String(
                    format: "%.2f ms of processor time and %d events a cell, %.2f million events a second",
                    processorSeconds * 1000 / Double(cells), events / cells, Double(events) / seconds / 1e6)
        ]
    }

    /// Of all threads of this process, so far.
    private static var processorSeconds: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}
