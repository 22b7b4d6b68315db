/// `ackmatrix inject`: makes every place of a migration in the engine fail, one in each run, and reports which side has the guest at the
/// end.
import ArgumentParser
import EnginePeer
import Exploration
import Foundation
import MigrationTrace
import Plan

struct InjectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inject", abstract: "Inject a failure at every place of a migration in the engine, and check that one guest is left.",
        discussion: """
            A run without a failure counts the places of each scenario: calls on devices, elements that the source writes, messages that \
            the destination writes, statuses that either side enters, steps of the threads. Then each place fails once, in a run of its \
            own: a call returns EIO, also with the recovery state refused; the connection breaks; the migration is cancelled; the \
            destination is killed. Of places of one kind that repeat, the first, the second and the last one fail (--all: each one).

            At the end the source runs its guest with all its devices in RUNNING, or the destination has the guest and the source is at \
            rest. A paused postcopy is recovered over a new connection. The devices' own states are checked, and the verifier's verdict on \
            the log must agree. Anything else is a finding, with exit status 1.

            A message that was written is read, whatever breaks after it. If the last message could be lost, its writer could not know \
            whether it arrived: the two generals' problem, which no order of messages solves.

            Memory stays below 100 MB, and grows only with the number of findings.
            """)

    @Option(
        help: "The engine's generation, such as 11.1 with the known defects of its release, or 11.1-corrected without them.")
    var generation = "11.1-corrected"

    @Option(help: ArgumentHelp("Only this scenario; may repeat.", valueName: "NAME"))
    var scenario: [String] = []

    @Option(
        help: ArgumentHelp(
            "Only this failure, in one scenario, such as source.v0.set-state.2:eio, forward.7:break or step.300:cancel.", valueName: "PLACE"
        ))
    var place: String?

    @Flag(help: "Let every place fail, also where places of one kind repeat.")
    var all = false

    @Flag(help: "With --place: print the log of both sides and their devices.")
    var events = false

    @Flag(help: "Print the place of every finding, not of two of each kind.")
    var verbose = false

    @Option(help: "Makes the steps take uneven times; with 0 nothing is random.")
    var seed: UInt64 = 0

    @Option(help: "The number of runs at the same time. (default: one for each processor)")
    var jobs: Int?

    func validate() throws {
        if let jobs, jobs < 1 { throw ValidationError("--jobs: expected 1 or more, found \(jobs)") }
        if let place, Injection(place) == nil {
            throw ValidationError("--place: expected a place and what fails there, as source.v0.set-state.2:eio, found '\(place)'")
        }
        if place != nil, scenario.count != 1 { throw ValidationError("--place: expected one --scenario, found \(scenario.count)") }
        if events, place == nil { throw ValidationError("--events: expected a --place") }
    }

    func run() async throws {
        guard let known = InjectionScenario.all(generation: generation) else {
            throw ValidationError(
                "--generation: expected one of \(ProbedBinary.engineNames.joined(separator: ", ")), with or without -corrected, "
                    + "found '\(generation)'"
            )
        }
        if let unknown = scenario.first(where: { name in !known.contains { $0.name == name } }) {
            throw ValidationError("--scenario: expected one of \(known.map(\.name).joined(separator: ", ")), found '\(unknown)'")
        }
        let chosen = known.filter { scenario.isEmpty || scenario.contains($0.name) }
        if let place { return try repeatOne(chosen[0], Injection(place)!) }

        let began = ContinuousClock.now
        var summary = InjectionSummary(generation: generation, options: seed == 0 ? [] : ["--seed \(seed)"])
        let counted = try chosen.map { try CountedPlaces($0, seed: seed, all: all) }
        for places in counted { summary.take(places) }
        try await InjectionPool(threads: jobs ?? ProcessInfo.processInfo.activeProcessorCount, seed: seed).run(counted) { summary.take($1) }
        for scenario in chosen { say("\(scenario.name): \(scenario.about)") }
        say("")
        for line in summary.table() { say(line) }
        say("")
        for line in summary.allowances() + summary.findingLines(whole: verbose) { say(line) }
        say(
            "\(generation), seed \(seed): \(summary.counted) places counted, "
                + "\(summary.counted - summary.places) of them left out as repetitions; "
                + String(format: "%.1f s", (ContinuousClock.now - began) / .seconds(1)))
        say(summary.closingLine)
        if !summary.findings.isEmpty {
            throw Finding(
                description: "\(summary.findings.count) of \(summary.runs) injected failures did not end with one guest, or broke a rule")
        }
    }

    private func repeatOne(_ scenario: InjectionScenario, _ injection: Injection) throws {
        let tell: ((StreamName, Event) -> Void)? = events ? { say("\($0.rawValue): \($1.line)") } : nil
        guard try CountedPlaces(scenario, seed: seed, all: true).places.contains(where: { $0.place == injection.place }) else {
            throw ValidationError("--place: the migration of \(scenario.name) never passes \(injection); its places are numbered from 1")
        }
        let result = try scenario.run(injection, seed: seed, tell: tell)
        let record = result.record
        func line(_ name: String, _ side: InjectedSide) -> String {
            let devices = side.devices.sorted { $0.key < $1.key }.map { " \($0.key) \($0.value.rawValue)" }.joined()
            let guest = side.isGone ? "process ended" : side.runState
            return "\(name): \(side.status ?? "no migration"), \(guest),\(devices.isEmpty ? " no devices" : devices)"
        }
        say(line("source", record.source))
        say(line("destination", record.destination))
        if let refusal = record.refusal { say("refused: \(refusal)") }
        if record.recoveries > 0 { say("recovered: \(record.recoveries) times") }
        if !result.allowed.isEmpty { say("rules that may break here: \(result.allowed.joined(separator: ", "))") }
        say("ending: \(result.ending.rawValue)")
        guard let wrong = result.wrong else { return }
        throw Finding(description: wrong + (result.quirks.isEmpty ? "" : "; none without \(result.quirks.joined(separator: ", or "))"))
    }
}
