/// Failures injected into migrations of the engine: a smaller set than the command's, that the check itself can fail, and how places are counted.
import EnginePeer
import Testing

@testable import Exploration

@Suite struct InjectionTests {
    private func scenario(_ name: String, _ generation: String = "11.1-corrected") throws -> InjectionScenario {
        try #require(InjectionScenario.all(generation: generation)?.first { $0.name == name })
    }

    private func injection(_ text: String) throws -> Injection { try #require(Injection(text)) }

    private func isStep(_ place: PassedPlace) -> Bool { place.place.point == .step }

    // MARK: One guest

    /// Every call, element, message and status where there are devices; every step, too, where a run is short.
    @Test(arguments: [
        ("one-device", false), ("no-p2p", false), ("no-precopy", false), ("pause", false), ("paused-destination", false),
        ("no-devices", true), ("postcopy", true), ("postcopy-recovered", true),
    ])
    func oneGuestIsLeft(name: String, steps: Bool) throws {
        let scenario = try scenario(name)
        let counted = try CountedPlaces(scenario, seed: 0)
        #expect(counted.base.wrong == nil)
        #expect(counted.base.ending == (name == "postcopy-recovered" ? .recovered : .completed))
        var endings: Set<InjectionEnding> = []
        for place in counted.chosen where steps || !isStep(place) {
            for fault in Injection.faults(at: place.place.point) {
                let injection = Injection(place.place, fault)
                let result = try scenario.run(injection, seed: 0)
                #expect(result.wrong == nil, "\(name) \(injection)")
                endings.insert(result.ending)
            }
        }
        // A set of failures that all end alike would show little.
        #expect(endings.isSuperset(of: [.sourceRuns, .killedWithGuest]))
        #expect(endings.contains(.recovered) == name.hasPrefix("postcopy"))
    }

    @Test(arguments: [1, 2, 3, 7] as [UInt64]) func oneGuestIsLeftWhateverTheSteps(seed: UInt64) throws {
        // Seed 7 breaks the channel between the package and the PONG for it.
        let scenario = try scenario(seed == 7 ? "postcopy" : "postcopy-recovered")
        let counted = try CountedPlaces(scenario, seed: seed)
        for injection in counted.injections {
            let result = try scenario.run(injection, seed: seed)
            #expect(result.wrong == nil, "seed \(seed): \(injection)")
        }
    }

    // MARK: The check can fail

    /// What released versions do wrong is found, and each quirk that explains it named.
    @Test(arguments: [
        // The destination's last word is not written, and its guest runs already.
        ("11.1", "one-device", "back.3:break", "two guests", ["starts-before-shut"]),
        ("10.0", "one-device", "back.3:break", "two guests", ["starts-before-shut"]),
        ("11.1", "paused-destination", "back.3:break", "two guests", ["starts-before-shut"]),
        ("11.1", "one-device", "destination.v0.set-state.2:eio", "loaded-state-kept", ["resets-loaded-device"]),
        ("11.1", "postcopy", "destination.completed.1:kill", "resumes-on-failure", ["fails-at-postcopy-end"]),
    ])
    func knownWrongsAreFound(generation: String, name: String, place: String, words: String, quirks: [String]) throws {
        let injection = try #require(Injection(place))
        let result = try scenario(name, generation).run(injection, seed: 0)
        #expect(result.wrong?.contains(words) == true, "\(result.wrong ?? "nothing wrong")")
        #expect(result.quirks == quirks)
        let corrected = try scenario(name, generation + "-corrected").run(injection, seed: 0)
        #expect(corrected.wrong == nil)
    }

    /// A cancel when everything is sent, and the destination may be completing: found by its step, whose number is nobody's to know.
    @Test func aCancelBehindTheHandOverIsFound() throws {
        let scenario = try scenario("no-devices", "11.1")
        let counted = try CountedPlaces(scenario, seed: 0, all: true)
        let wrong = try counted.injections.filter { $0.fault == .cancel }.map { try scenario.run($0, seed: 0) }.filter { $0.wrong != nil }
        #expect(!wrong.isEmpty)
        #expect(wrong.allSatisfy { $0.wrong?.hasPrefix("two guests") == true && $0.quirks.contains("cancels-after-hand-over") })
    }

    /// A place that no run passes is said, and not taken for a failure that did no harm.
    @Test func aPlaceThatIsNotPassedIsAFinding() throws {
        let result = try scenario("no-devices").run(injection("forward.1000:break"), seed: 0)
        #expect(result.record.injected == 0)
        #expect(result.wrong?.hasPrefix("the place was not passed") == true)
    }

    /// More steps than are waited for are no end.
    @Test func aRunWithoutAnEndIsAFinding() throws {
        let result = try scenario("no-devices").run(nil, seed: 0, mostSteps: 50)
        #expect(result.wrong?.hasPrefix("has no end") == true)
    }

    // MARK: Places

    @Test func placesAreCountedHonestly() throws {
        let scenario = try scenario("one-device")
        let counted = try CountedPlaces(scenario, seed: 0)
        let all = try CountedPlaces(scenario, seed: 0, all: true)
        #expect(all.chosen.count == all.places.count && all.places.map(\.place) == counted.places.map(\.place))
        #expect(counted.chosen.count < counted.places.count)
        #expect(Set(counted.places.map(\.place)).count == counted.places.count)
        let kinds = Dictionary(grouping: counted.places) { "\($0.place.point) \($0.kind)" }
        let chosen = Dictionary(grouping: counted.chosen) { "\($0.place.point) \($0.kind)" }
        #expect(kinds.count == chosen.count)
        for (kind, places) in kinds {
            let expected = places.count < 3 ? places : [places[0], places[1], places[places.count - 1]]
            #expect(chosen[kind] == expected, "\(kind)")
        }
    }

    @Test func theTableAddsUp() async throws {
        let scenario = try scenario("no-devices")
        var summary = InjectionSummary(generation: "11.1-corrected", options: [])
        let counted = try CountedPlaces(scenario, seed: 0)
        summary.take(counted)
        try await InjectionPool(threads: 2, seed: 0).run([counted]) { summary.take($1) }
        #expect(summary.counted == counted.places.count && summary.places == counted.chosen.count)
        #expect(summary.runs == counted.injections.count)
        #expect(summary.findings.isEmpty)
        #expect(summary.closingLine == "\(summary.runs) failures injected at \(summary.places) places: all ended with one guest")
        #expect(summary.table().count == 6)
        #expect(Set(summary.table().map(\.count)).count == 1)
    }

    @Test func findingsHaveACommand() throws {
        var summary = InjectionSummary(generation: "11.1", options: ["--seed 0"])
        summary.take(try scenario("one-device", "11.1").run(injection("back.3:break"), seed: 0))
        let lines = summary.findingLines()
        #expect(lines.last == "    ackmatrix inject --generation 11.1 --seed 0 --scenario one-device --place back.3:break")
        #expect(lines.first?.hasSuffix("none without starts-before-shut") == true)
        #expect(summary.closingLine == "1 failures injected at 0 places: 1 findings")
    }

    @Test(arguments: [
        "source.v0.set-state.2:eio", "source.v0.set-state.2:eio-recovery", "destination.v1.write.1:eio", "forward.7:break", "back.1:break",
        "source.pre-switchover.1:cancel", "source.active.1:kill", "destination.completed.1:kill", "step.300:cancel", "step.300:break",
    ])
    func placesHaveAText(text: String) throws { #expect(try #require(Injection(text)).description == text) }

    @Test(arguments: [
        "", "forward", "forward.0:break", "forward.1:eio", "back.1:kill", "source.v0.read.1:eio-recovery", "destination.active.1:cancel",
        "host.v0.read.1:eio", "step.1:kill", "step.-1:cancel", "step.1:cancel:break", "source.1:cancel",
    ])
    func otherTextsArePlacesOfNothing(text: String) { #expect(Injection(text) == nil) }

    /// Up to 11.0 there is one ACK, and no per-device scenario.
    @Test func scenariosOfAGeneration() throws {
        let new = try #require(InjectionScenario.all(generation: "11.1-corrected")).map(\.name)
        let old = try #require(InjectionScenario.all(generation: "10.0-corrected")).map(\.name)
        #expect(Set(new).subtracting(old) == ["reinit", "legacy"])
        #expect(Set(new).count == new.count)
        #expect(InjectionScenario.all(generation: "9.9") == nil)
    }
}
