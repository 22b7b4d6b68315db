/// What the experiment measured, as it is kept and drawn.

package struct DowntimeResults: Hashable, Sendable, Codable {
    /// Migrations with one setting.
    package struct Group: Hashable, Sendable, Codable {
        package var answer: Answer
        package var reinits: Int
        package var predictedTotal: Double
        package var predictedBusy: Double
        package var runs: [Downtime]

        package init(_ answer: Answer, reinits: Int, _ setting: DowntimeSetting) {
            self.answer = answer
            self.reinits = reinits
            predictedTotal = setting.predictedTotal(answer, reinits: reinits)
            predictedBusy = setting.predictedBusy(answer, reinits: reinits)
            runs = []
        }

        package var total: Spread? { Spread(runs.map(\.total)) }
        package var reported: Spread? { Spread(runs.compactMap(\.reported)) }
        package var busy: Spread? { Spread(runs.compactMap { $0.loads[DowntimeResults.busy] }) }
        package var stopToRunning: Spread? { Spread(runs.compactMap { $0.stopToRunning[DowntimeResults.busy] }) }
        package var migration: Spread? { Spread(runs.map(\.migration)) }
    }

    /// The busy device's name.
    package static let busy = "v0"

    package var version = 1
    package var qemu: String
    package var machine: String
    package var setting: DowntimeSetting
    package var published = Published()
    /// One re-initialisation, ignored and acknowledged.
    package var comparison: [Group] = []
    /// None to many, the comparison's one among them.
    package var numbers: [Group] = []
    package var stream: ReinitStream
    package var convergence: [StreamRun] = []

    package init(qemu: String, machine: String, setting: DowntimeSetting, stream: ReinitStream) {
        (self.qemu, self.machine, self.setting, self.stream) = (qemu, machine, setting, stream)
    }

    package func group(_ answer: Answer) -> Group? { comparison.first { $0.answer == answer } }
}

/// The migrations with one quiet time.
package struct StreamPoint: Hashable, Sendable {
    /// Milliseconds: as measured, or as set where no REINIT came.
    package let quiet: Double
    package let runs: [StreamRun]

    package func count(_ end: StreamRun.End) -> Int { runs.count { $0.end == end } }
}

/// Where a stream of REINITs stops converging.
package struct Boundary: Hashable, Sendable {
    package let points: [StreamPoint]
    /// From the marker to its ACK, milliseconds, median.
    package let acknowledgement: Double?
    /// Milliseconds: the longest quiet with which some migration did not converge.
    package let longestEndless: Double?
    /// The shortest beyond that with which all completed.
    package let shortestCompleted: Double?

    package init(_ runs: [StreamRun], _ stream: ReinitStream) {
        points = Dictionary(grouping: runs, by: \.quietQueries).map { queries, runs in
            StreamPoint(quiet: Spread(runs.compactMap(\.quiet))?.median ?? Double(queries * stream.queryMilliseconds), runs: runs)
        }.sorted { $0.quiet < $1.quiet }
        acknowledgement = Spread(runs.compactMap(\.acknowledgement))?.median
        let endless = points.last { $0.count(.neverFree) > 0 }?.quiet
        longestEndless = endless
        shortestCompleted = points.first { $0.quiet > endless ?? 0 && $0.count(.completed) == $0.runs.count }?.quiet
    }
}
