/// Judges one build: runs the cell until the votes decide, and keeps a run that shows the verdict.
import EnginePeer
import Foundation
import Matrix
import MigrationEngine
import MigrationTrace
import Plan
import QEMUPeer
import Reports
import Running
import Verification

package struct Trial: Sendable {
    let question: BisectQuestion
    let pattern: CellPattern
    let matrix: MatrixFile
    let deviations: DeviationFile
    let policy: DeviationPolicy
    /// The sides that may stand opposite to the build.
    let others: [ProbedBinary]
    let reader: BuildReader
    let reproduction: Reproduction

    package init(
        _ question: BisectQuestion, pattern: CellPattern, matrix: MatrixFile, deviations: DeviationFile, policy: DeviationPolicy,
        others: [ProbedBinary], reader: BuildReader, reproduction: Reproduction
    ) {
        self.question = question
        self.pattern = pattern
        self.matrix = matrix
        self.deviations = deviations
        self.policy = policy
        self.others = others
        self.reader = reader
        self.reproduction = reproduction
    }

    /// What is looked for: nil at the bad end, which is to show it.
    package struct Wanted: Sendable {
        package var failure: Signature?
        package var mode: String?
        package init(failure: Signature?, mode: String?) { (self.failure, self.mode) = (failure, mode) }
    }

    /// The record of a revision, and, at the bad end, what its runs have in common. `open` gives the build, and throws `Untestable` where
    /// there is none. `keep` is a folder for the trace and the explanation of a run that shows the verdict.
    package func judge(
        _ wanted: Wanted, keep: String, seed: UInt64, open: @escaping @Sendable (RunFolder) async throws -> Build
    ) async throws -> (record: RevisionRecord, shared: Signature?) {
        let began = Date()
        let folder = try RunFolder()
        var build: Build?
        do {
            let opened = try await open(folder)
            build = opened
            var outcome = try await judge(opened, wanted, keep: keep, seed: seed, folder: folder)
            outcome.record.build = opened.about
            outcome.record.seconds = Date().timeIntervalSince(began)
            return outcome
        } catch let error as Untestable {
            return (skipped(error.description, build, began), nil)
        } catch let error as Unavailable {
            return (skipped(error.description, build, began), nil)
        }
    }

    private func skipped(_ reason: String, _ build: Build?, _ began: Date) -> RevisionRecord {
        var record = RevisionRecord(.skip, reason)
        record.build = build?.about
        record.seconds = Date().timeIntervalSince(began)
        return record
    }

    private func judge(
        _ build: Build, _ wanted: Wanted, keep: String, seed: UInt64, folder: RunFolder
    ) async throws -> (record: RevisionRecord, shared: Signature?) {
        let other = try self.other(for: build)
        let tested: TestedCell
        do {
            tested = try pattern.cell(of: matrix, build: build.binary, other: other)
            if let mode = question.mode, tested.mode != mode {
                throw Untestable(
                    "the build runs \(tested.title) in \(tested.mode.map(\.rawValue) ?? "no") mode, not in \(mode.rawValue) mode")
            }
            try await check(tested.cell, build, other, folder)
        } catch let reason where question.aim == .mode && (reason is Unavailable || reason is Untestable) {
            return (modeWithoutCell(build, wanted, "\(reason)"), nil)
        }
        let runner = try runner(build, other)
        var runs = Runs(tested, build, wanted, seed: seed ^ question.seed, folder: folder, keep: keep, reproduction: reproduction)
        if question.aim == .mode {
            _ = try await runs.run(runner)
            return (try runs.record(ofMode: wanted), nil)
        }
        var ballot = Ballot(lead: question.lead, isRare: question.isRare)
        while ballot.verdict == nil {
            try Task.checkCancellation()
            ballot.add(try await runs.run(runner))
        }
        return (try runs.record(ballot), Signature.shared(by: runs.failures))
    }

    /// The side that stands opposite to the build, of its kind; nil where the build is both. Throws `Environment` where there is none.
    private func other(for build: Build) throws -> ProbedBinary? {
        guard pattern.side != .both else { return nil }
        let ofKind = others.filter { $0.binary.kind == build.binary.binary.kind }
        guard let name = pattern.other(among: ofKind.map { sharedCellName($0.binary.name) }),
            let other = ofKind.first(where: { sharedCellName($0.binary.name) == name })
        else {
            let names = ofKind.map { sharedCellName($0.binary.name) }.joined(separator: ", ")
            throw Environment(
                "--cell \(question.cell): expected a side opposite to the build out of \(names.isEmpty ? "no available one" : names), "
                    + "found '\(pattern.sides)'")
        }
        return other
    }

    /// Starts the build once, and migrates to or from the other side without devices. Throws `Untestable`.
    private func check(_ cell: Cell, _ build: Build, _ other: ProbedBinary?, _ folder: RunFolder) async throws {
        guard build.binary.binary.kind == .qemu else { return }
        let shim = try reader.shim()
        do {
            let hasDevices = cell.plan.sides.contains { $0.binary == build.binary.binary && !$0.devices.isEmpty }
            try await checkStart(build.binary, withDevice: hasDevices, shim: shim, folder: folder)
        } catch let error as Environment where !Task.isCancelled {
            throw Untestable(error.description)
        }
        let sides = [build.binary] + (other.map { [$0] } ?? [])
        let pairings = try await Pairings(of: [cell], binaries: sides, shim: shim, jobs: 1, folder: folder)
        if let failure = pairings.failure(of: cell) { throw failure }
    }

    private func runner(_ build: Build, _ other: ProbedBinary?) throws -> CellRunner {
        CellRunner(
            binaries: [build.binary] + (other.map { [$0] } ?? []), shim: build.binary.binary.kind == .qemu ? try reader.shim() : "",
            deviations: deviations, policy: policy)
    }

    /// Of a build that can run no such cell, the mode of the machine type as it was probed.
    private func modeWithoutCell(_ build: Build, _ wanted: Wanted, _ reason: String) -> RevisionRecord {
        let features = build.binary.features
        let newest = features.machineTypes.filter { $0.hasPrefix("pc-q35-") }.max {
            (machineRelease($0) ?? []).lexicographicallyPrecedes(machineRelease($1) ?? [])
        }
        let mode = newest.flatMap { features.mode(machine: $0) }
        var record = RevisionRecord(verdict(ofMode: mode, wanted), modeSentence(mode) + ", as probed; no cell ran: \(reason)")
        record.mode = mode
        record.machine = newest
        return record
    }
}

/// The word for a mode, or for a side that has none.
func modeWord(_ mode: SwitchoverAckMode?) -> String { mode?.rawValue ?? "without switchover-ack" }

func modeSentence(_ mode: SwitchoverAckMode?) -> String {
    mode.map { "the source runs in \($0.rawValue) mode" } ?? "the source has no switchover-ack"
}

/// Without a wanted mode this is the bad end.
private func verdict(ofMode mode: SwitchoverAckMode?, _ wanted: Trial.Wanted) -> RevisionRecord.Verdict {
    wanted.mode == nil || wanted.mode == modeWord(mode) ? .bad : .good
}

/// The runs of one cell with one build.
private struct Runs {
    let tested: TestedCell
    let build: Build
    let wanted: Trial.Wanted
    let seed: UInt64
    let folder: RunFolder
    let keep: String
    let reproduction: Reproduction
    private var count: UInt64 = 0
    /// Of the runs that failed.
    private(set) var failures: [Signature] = []
    /// The folder, the result and the signature of the first run of each vote.
    private var shown: [RevisionRecord.Verdict: Shown] = [:]

    private struct Shown {
        let place: String
        let result: CellResult
        let signature: Signature?
        let traces: [Trace]
        let note: String?
    }

    init(
        _ tested: TestedCell, _ build: Build, _ wanted: Trial.Wanted, seed: UInt64, folder: RunFolder, keep: String,
        reproduction: Reproduction
    ) {
        self.tested = tested
        self.build = build
        self.wanted = wanted
        self.seed = seed
        self.folder = folder
        self.keep = keep
        self.reproduction = reproduction
    }

    /// Runs the cell once more, and says what the run tells.
    mutating func run(_ runner: CellRunner) async throws -> Vote {
        count += 1
        var runner = runner
        runner.seed = count
        if let mutant = build.mutant {
            // Each run of each revision has a number of its own, so that the same command shows the same.
            var random = RandomSource(seed: seed &+ count &* 0x9e37_79b9_7f4a_7c15)
            if build.chance == 100 || Int.random(in: 0..<100, using: &random) < build.chance { runner.mutant = mutant }
        }
        let place = "\(folder.path)/run-\(count)"
        let result = try await runner.run(tested.cell, folder: place)
        let traces = try result.cell.traces.map { "\(place)/\($0.file)" }.prefix { FileManager.default.fileExists(atPath: $0) }.map {
            try Trace(path: $0)
        }
        let signature = Signature(result, traces: Array(traces))
        let vote = vote(result, signature, traces.last)
        if let signature, vote == .bad { failures.append(signature) }
        let (verdict, note): (RevisionRecord.Verdict, String?) =
            switch vote {
            case .bad: (.bad, nil)
            case .good: (.good, signature.map { "it fails otherwise: \($0)" })
            case .none(let reason): (.skip, reason)
            }
        if shown[verdict] == nil {
            shown[verdict] = Shown(place: place, result: result, signature: signature, traces: Array(traces), note: note)
        } else {
            try? FileManager.default.removeItem(atPath: place)
        }
        return vote
    }

    private func vote(_ result: CellResult, _ signature: Signature?, _ trace: Trace?) -> Vote {
        guard let signature else { return .good }
        // A side that died tells much, although the verifier knows no ending.
        let line = ResultLine(result, reproduction: reproduction)
        let hasDied = result.legs.contains { $0.ends.contains(where: \.hasAnswered) }
        if let reason = line.tellsNothing, !hasDied { return .none(reason) }
        guard let failure = wanted.failure else { return .bad }
        if signature.matches(failure) {
            guard signature.mode != failure.mode else { return .bad }
            return .none("it shows the failure where \(modeSentence(signature.mode)), which is not the same test")
        }
        // What fails otherwise, and goes on beyond the phase of the failure without it, does not have it.
        let sought = failure.phase ?? .end
        let reached: Phase = result.ending == .verdict(.completed) ? .end : (trace?.reached ?? .beforeSetup)
        if reached > sought || result.ending == .verdict(.completed) { return .good }
        return .none("it fails otherwise, before the failure could show: \(signature)")
    }

    /// The record of the verdict; the run that shows it is kept.
    func record(_ ballot: Ballot) throws -> RevisionRecord {
        let verdict: RevisionRecord.Verdict
        var reason: String
        switch ballot.verdict {
        case .bad?: (verdict, reason) = (.bad, ballot.counts)
        case .good?: (verdict, reason) = (.good, ballot.counts)
        case .skip(let why)?: (verdict, reason) = (.skip, why)
        case nil: (verdict, reason) = (.skip, "no verdict")
        }
        let run = shown[verdict] ?? shown.values.first
        if verdict == .good, let note = run?.note { reason += "; \(note)" }
        var record = RevisionRecord(verdict, reason)
        record.runs = ballot.runs
        record.badRuns = ballot.bad
        try fill(&record, run)
        return record
    }

    func record(ofMode wanted: Trial.Wanted) throws -> RevisionRecord {
        let run = shown.values.first
        var record = RevisionRecord(verdict(ofMode: tested.mode, wanted), modeSentence(tested.mode))
        record.runs = 1
        try fill(&record, run)
        return record
    }

    private func fill(_ record: inout RevisionRecord, _ run: Shown?) throws {
        record.test = tested.identity
        record.mode = tested.mode
        record.machine = tested.cell.plan.source.machine
        record.mappedFrom = tested.mappedFrom
        guard let run else { return }
        record.ending = run.result.ending.text
        record.signature = run.signature
        record.reproduce = build.command(tested.cell, reproduction)
        let leg = run.result.telling.number
        let trace = leg < run.traces.count ? run.traces[leg] : nil
        var explanation = Explanation(run.result, trace: trace, reproduction: reproduction)
        explanation.reproduce = record.reproduce
        do {
            try? FileManager.default.removeItem(atPath: keep)
            try FileManager.default.createDirectory(atPath: keep, withIntermediateDirectories: true)
            if let trace { try trace.write(path: "\(keep)/\(Cell.traceFile)") }
            try Data((explanation.text + "\n").utf8).write(to: URL(fileURLWithPath: keep + "/explanation.txt"), options: .atomic)
        } catch {
            throw Environment("\(keep): what a revision showed cannot be kept: \(systemReason(error))")
        }
    }
}
