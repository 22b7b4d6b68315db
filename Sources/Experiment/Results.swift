/// What the experiment measured, as it is kept and drawn.

public struct DowntimeResults: Hashable, Sendable, Codable {
    /// Migrations with one setting.
    public struct Group: Hashable, Sendable, Codable {
        public var answer: Answer
        public var reinits: Int
        public var predictedTotal: Double
        public var predictedBusy: Double
        public var runs: [Downtime]

        public init(_ answer: Answer, reinits: Int, _ setting: DowntimeSetting) {
            self.answer = answer
            self.reinits = reinits
            predictedTotal = setting.predictedTotal(answer, reinits: reinits)
            predictedBusy = setting.predictedBusy(answer, reinits: reinits)
            runs = []
        }

        public var total: Spread? { Spread(runs.map(\.total)) }
        public var reported: Spread? { Spread(runs.compactMap(\.reported)) }
        public var busy: Spread? { Spread(runs.compactMap { $0.loads[DowntimeResults.busy] }) }
        public var stopToRunning: Spread? { Spread(runs.compactMap { $0.stopToRunning[DowntimeResults.busy] }) }
        public var migration: Spread? { Spread(runs.map(\.migration)) }
    }

    /// The busy device's name.
    public static let busy = "v0"

    public var version = 1
    public var qemu: String
    public var machine: String
    public var setting: DowntimeSetting
    public var published = Published()
    /// One re-initialisation, ignored and acknowledged.
    public var comparison: [Group] = []
    /// None to many, the comparison's one among them.
    public var numbers: [Group] = []
    public var stream: ReinitStream
    public var convergence: [StreamRun] = []

    public init(qemu: String, machine: String, setting: DowntimeSetting, stream: ReinitStream) {
        (self.qemu, self.machine, self.setting, self.stream) = (qemu, machine, setting, stream)
    }

    public func group(_ answer: Answer) -> Group? { comparison.first { $0.answer == answer } }
}

/// The migrations with one quiet time.
public struct StreamPoint: Hashable, Sendable {
    /// Milliseconds: as measured, or as set where no REINIT came.
    public let quiet: Double
    public let runs: [StreamRun]

    public func count(_ end: StreamRun.End) -> Int { runs.count { $0.end == end } }
}

/// Where a stream of REINITs stops converging.
public struct Boundary: Hashable, Sendable {
    public let points: [StreamPoint]
    /// From the marker to its ACK, milliseconds, median.
    public let acknowledgement: Double?
    /// Milliseconds: the longest quiet with which some migration did not converge.
    public let longestEndless: Double?
    /// The shortest beyond that with which all completed.
    public let shortestCompleted: Double?

    public init(_ runs: [StreamRun], _ stream: ReinitStream) {
        points = Dictionary(grouping: runs, by: \.quietQueries).map { queries, runs in
            StreamPoint(quiet: Spread(runs.compactMap(\.quiet))?.median ?? Double(queries * stream.queryMilliseconds), runs: runs)
        }.sorted { $0.quiet < $1.quiet }
        acknowledgement = Spread(runs.compactMap(\.acknowledgement))?.median
        let endless = points.last { $0.count(.neverFree) > 0 }?.quiet
        longestEndless = endless
        shortestCompleted = points.first { $0.quiet > endless ?? 0 && $0.count(.completed) == $0.runs.count }?.quiet
    }
}
