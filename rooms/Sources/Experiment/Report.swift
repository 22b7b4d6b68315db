/// The results as text: the setting, the comparison beside the published numbers, the numbers of REINITs, and where it stops converging.

extension DowntimeResults {
    /// Lines for a terminal or a mail.
    package var report: [String] {
        settingLines + [""] + comparisonLines + [""] + numberLines + [""] + convergenceLines + [""] + answerLines
    }

    private var settingLines: [String] {
        let setting = setting
        return [
            "QEMU \(qemu), \(machine), both sides on this host; medians, and the range in brackets; times in ms",
            "guest    \(setting.memoryMiB) MiB, idle; 1 busy device of \(setting.initialMiB) + \(setting.reinitMiB) + \(setting.finalMiB) MiB "
                + "(initial, each REINIT, stop-copy), \(setting.idleDevices) idle ones of \(setting.idleMiB) MiB",
            "rates    devices \(setting.deviceMiBPerSecond) MiB/s, link \(setting.linkBytesPerSecond / 125_000_000) Gbit/s, downtime limit "
                + "\(setting.downtimeLimitMilliseconds) ms; device data and all rates divided by \(setting.scale)",
            "chosen   so that sizes and rates give the published times of the busy device, and the rest of the whole downtime",
            "with re-ACK: per-device mode, the REINIT is loaded before the guest stops; without: migration.switchover-ack-legacy=on",
        ]
    }

    private var comparisonLines: [String] {
        guard let without = group(.ignored), let with = group(.acknowledged) else { return [] }
        func row(_ name: String, _ pick: (Group) -> Spread?) -> [String] {
            guard let first = pick(without), let second = pick(with) else { return [name, "-", "-", "-"] }
            return [name, first.text, second.text, "-\(whole(first.reduction(to: second))) %"]
        }
        func row(_ name: String, published values: [String: Double]) -> [String] {
            guard let first = values[Answer.ignored.rawValue], let second = values[Answer.acknowledged.rawValue] else { return [] }
            return [name, whole(first), whole(second), "-\(whole((1 - second / first) * 100)) %"]
        }
        func predicted(_ name: String, _ pick: (Group) -> Double) -> [String] {
            [name, whole(pick(without)), whole(pick(with)), "-\(whole((1 - pick(with) / pick(without)) * 100)) %"]
        }
        return aligned([
            ["downtime, one REINIT", Answer.ignored.rawValue, Answer.acknowledged.rawValue, "reduction"],
            row("total, source's stop to destination's start", \.total),
            predicted("  by sizes and rates", \.predictedTotal),
            row("  published", published: published.total),
            row("  as query-migrate has it", \.reported),
            row("busy device, its own share", \.busy),
            predicted("  by sizes and rates", \.predictedBusy),
            row("  published", published: published.busy),
            row("busy device, STOP_COPY to RUNNING", \.stopToRunning),
        ])
    }

    private var numberLines: [String] {
        let counts = Set(numbers.map(\.reinits)).sorted()
        func cell(_ answer: Answer, _ count: Int, _ pick: (Group) -> Spread?) -> String {
            numbers.first { $0.answer == answer && $0.reinits == count }.flatMap(pick)?.text ?? "-"
        }
        return aligned(
            [["REINITs", "downtime without", "with re-ACK", "migration without", "with re-ACK"]]
                + counts.map { count in
                    [
                        "\(count)", cell(.ignored, count, \.total), cell(.acknowledged, count, \.total), cell(.ignored, count, \.migration),
                        cell(.acknowledged, count, \.migration),
                    ]
                })
    }

    private var convergenceLines: [String] {
        let boundary = Boundary(convergence, stream)
        return [
            "a stream without end: initial bytes that take \(stream.loadMilliseconds) ms to load, and the next REINIT after a quiet time; "
                + "marker to ACK \(boundary.acknowledgement.map(whole) ?? "-") ms"
        ]
            + aligned(
                [["quiet", "completed", "failed at the last check", "does not converge", "REINITs", "migration"]]
                    + boundary.points.map { point in
                        [
                            whole(point.quiet), "\(point.count(.completed))", "\(point.count(.failedAtLastCheck))",
                            "\(point.count(.neverFree))", Spread(point.runs.map { Double($0.reinits) })?.text ?? "-",
                            Spread(point.runs.map(\.migration))?.text ?? "-",
                        ]
                    })
    }

    /// One re-initialisation or a stream of them: what follows.
    private var answerLines: [String] {
        var lines: [String] = []
        let acknowledged = numbers.filter { $0.answer == .acknowledged }.sorted { $0.reinits < $1.reinits }
        if let first = acknowledged.first, let last = acknowledged.last, let one = first.total, let many = last.total,
            let short = first.migration, let long = last.migration, last.reinits > first.reinits
        {
            lines.append(
                "One or many: acknowledged, \(last.reinits) REINITs cost \(whole(many.median)) ms of downtime, \(first.reinits) cost "
                    + "\(whole(one.median)) ms; what each adds is migration time, "
                    + "\(whole((long.median - short.median) / Double(last.reinits - first.reinits))) ms.")
        }
        let boundary = Boundary(convergence, stream)
        if let acknowledgement = boundary.acknowledgement {
            var line =
                "A stream converges while the device is quiet for longer than its new initial bytes take to be acknowledged (\(whole(acknowledgement)) ms here): "
            line += boundary.shortestCompleted.map { "all completed from \(whole($0)) ms of quiet on" } ?? "none did"
            line += boundary.longestEndless.map { ", and up to \(whole($0)) ms some went on forever." } ?? ", and none went on forever."
            lines.append(line)
            let failed = convergence.count { $0.end == .failedAtLastCheck }
            if failed > 0 {
                lines.append(
                    "Between the two a REINIT can meet the last check, with the guest stopped already: \(counted(failed, "migration")) failed there, and "
                        + "the source's guest went on.")
            }
        }
        return lines
    }
}

extension Spread {
    /// `1335 (1301-1378)`.
    var text: String { count == 1 ? whole(median) : "\(whole(median)) (\(whole(least))-\(whole(most)))" }
}

func whole(_ value: Double) -> String { "\(Int(value.rounded()))" }

/// Rows with aligned columns, two spaces apart: the first to the left, the others to the right.
private func aligned(_ rows: [[String]]) -> [String] {
    let columns = rows.map(\.count).max() ?? 0
    let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
    return rows.map { row in
        row.enumerated().map { column, text in
            let blanks = String(repeating: " ", count: widths[column] - text.count)
            return column == 0 ? text + blanks : blanks + text
        }.joined(separator: "  ")
    }
}
