/// Counts the places of each scenario, and then runs the scenario once for each failure at each place.
import EnginePeer
import SwitchoverProtocol

/// The places of a scenario, and which of them are chosen.
package struct CountedPlaces: Sendable {
    package let scenario: InjectionScenario
    /// The run without a failure.
    package let base: InjectionResult
    package let places: [PassedPlace]
    /// Of each kind the first, the second and the last: what lies between repeats, as iterations do that only wait.
    package let chosen: [PassedPlace]

    package init(_ scenario: InjectionScenario, seed: UInt64, all: Bool = false) throws {
        self.scenario = scenario
        base = try scenario.run(nil, seed: seed, counts: true)
        let places = base.record.places
        self.places = places
        var ofKind: [PlaceKind: [Int]] = [:]
        for (index, place) in places.enumerated() { ofKind[PlaceKind(place), default: []].append(index) }
        let kept = Set(ofKind.values.flatMap { $0.count <= 3 ? $0 : [$0[0], $0[1], $0[$0.count - 1]] })
        chosen = all ? places : places.indices.filter(kept.contains).map { places[$0] }
    }

    package var injections: [Injection] {
        chosen.flatMap { place in Injection.faults(at: place.place.point).map { Injection(place.place, $0) } }
    }

    /// An upper bound for the steps of a run with a failure.
    var mostSteps: Int { 20 * base.record.steps + 50_000 }
}

private struct PlaceKind: Hashable {
    let point: FaultPlace.Point
    let kind: String

    init(_ place: PassedPlace) { (point, kind) = (place.place.point, place.kind) }
}

package struct InjectionPool: Sendable {
    package let threads: Int
    package let seed: UInt64

    package init(threads: Int, seed: UInt64) { (self.threads, self.seed) = (threads, seed) }

    /// Failures of one task: few enough that the threads end at about the same time.
    private static let slice = 64

    /// Runs every failure of these scenarios, and tells of each when its slice is done.
    package func run(_ counted: [CountedPlaces], report: (CountedPlaces, InjectionResult) throws -> Void) async throws {
        let work = counted.flatMap { places in
            let all = places.injections
            return stride(from: 0, to: all.count, by: Self.slice).map { (places, all[$0..<min($0 + Self.slice, all.count)]) }
        }
        try await withThrowingTaskGroup(of: (Int, [InjectionResult]).self) { group in
            var next = 0
            func start() {
                guard next < work.count else { return }
                let (index, (places, injections)) = (next, work[next])
                next += 1
                group.addTask {
                    let results = try injections.map {
                        try Task.checkCancellation()
                        return try places.scenario.run($0, seed: seed, mostSteps: places.mostSteps)
                    }
                    return (index, results)
                }
            }
            for _ in 0..<min(max(threads, 1), work.count) { start() }
            while let (index, results) = try await group.next() {
                start()
                for result in results { try report(work[index].0, result) }
            }
        }
    }
}
