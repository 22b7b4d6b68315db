/// The search itself: the ends first, then a repository by `git bisect run`, or a list by its own binary search.
import Foundation
import MigrationTrace
import Plan
import QEMUPeer
import Subprocess
import SystemPackage

/// Judges revisions, and keeps what each showed in the state's file as soon as it is known.
package struct Search: Sendable {
    package private(set) var state: BisectState
    package let folder: BisectFolder
    package let trial: Trial
    let cache: String
    let progress: @Sendable (String) -> Void

    package init(_ state: BisectState, folder: BisectFolder, trial: Trial, cache: String, progress: @escaping @Sendable (String) -> Void) {
        self.state = state
        self.folder = folder
        self.trial = trial
        self.cache = cache
        self.progress = progress
    }

    package var wanted: Trial.Wanted { Trial.Wanted(failure: state.failure, mode: state.wantedMode) }

    /// The record of a revision: the one that is known, or a new one.
    private mutating func record(
        of revision: String, title: String, open: @escaping @Sendable (RunFolder) async throws -> Build
    ) async throws -> (record: RevisionRecord, shared: Signature?) {
        if let known = state.records[revision] {
            progress("\(title): \(known.verdict.rawValue), as known: \(known.reason)")
            return (known, nil)
        }
        let seed = stableHash(revision.utf8)
        let outcome = try await trial.judge(wanted, keep: folder.revision(revision), seed: seed, open: open)
        let record = outcome.record
        state.add(record, of: revision)
        let test = record.test.map { "; \($0)" } ?? ""
        progress("\(title): \(record.verdict.rawValue): \(record.reason)\(test) (\(String(format: "%.1f", record.seconds)) s)")
        return outcome
    }

    private func save() throws { try state.write(path: folder.state) }

    /// Judges the ends, the bad one first, since it shows what is looked for. Throws `Environment` where they do not differ.
    private mutating func judgeEnds(_ ends: (good: Revision, bad: Revision)) async throws {
        if state.failure == nil, state.wantedMode == nil {
            state.records[ends.bad.revision] = nil
            let (record, shared) = try await record(of: ends.bad.revision, title: "bad end \(ends.bad.title)", open: ends.bad.open)
            switch state.question.aim {
            case .mode:
                guard record.verdict == .bad else { throw refusal("the bad end cannot be told: \(record.reason)") }
                state.wantedMode = modeWord(record.mode)
            case .failure:
                try requireFailure(record)
                guard let shared else {
                    throw refusal(
                        "the bad end fails otherwise in each run, so that there is no failure to look for; see \(folder.path)/revisions")
                }
                state.failure = shared
                progress("looking for: \(shared)")
            }
            try save()
        }
        let (record, _) = try await record(of: ends.good.revision, title: "good end \(ends.good.title)", open: ends.good.open)
        try save()
        switch record.verdict {
        case .good: return
        case .bad:
            throw refusal(
                "the ends do not differ: the good end "
                    + (state.question.aim == .mode ? "runs the cell in the mode of the bad end" : "shows the failure of the bad end, too")
                    + "; choose an earlier good end")
        case .skip: throw refusal("the good end cannot be told: \(record.reason); choose another one")
        }
    }

    private func requireFailure(_ record: RevisionRecord) throws {
        switch record.verdict {
        case .bad: return
        case .skip: throw refusal("the bad end cannot be told: \(record.reason)")
        case .good:
            let rare =
                record.badRuns > 0
                ? "; \(record.badRuns) of its \(record.runs) runs fail: --rare \(max(20, 5 * record.runs / record.badRuns)) takes one "
                    + "such run for bad"
                : ", so that there is no failure to look for; --for mode looks for the revision that changes the mode of the cell"
            throw refusal("the ends do not differ: the bad end is as predicted for its own generation" + rare)
        }
    }

    private func refusal(_ reason: String) -> Plan.Environment { Plan.Environment(reason) }

    /// A revision that can be judged.
    private struct Revision: Sendable {
        let revision: String
        let title: String
        let open: @Sendable (RunFolder) async throws -> Build
    }
}

// MARK: A list

extension Search {
    /// Searches the list of the question.
    package mutating func searchList() async throws -> BisectReport {
        let list = state.question.list
        let reader = trial.reader
        let entries = list.enumerated().map { index, entry in
            Revision(revision: Self.name(index), title: entry) { try await reader.build(listed: entry, folder: $0) }
        }
        try await judgeEnds((entries[0], entries[list.count - 1]))
        var search = ListSearch(count: list.count)
        while let index = search.next {
            progress("\(search.bad - search.good) may be the first bad one, about \(search.stepsLeft) steps left; testing \(list[index])")
            let (record, _) = try await record(of: Self.name(index), title: list[index], open: entries[index].open)
            try save()
            search.set(index, record.judgment)
        }
        func revision(_ index: Int) -> BisectReport.Revision {
            BisectReport.Revision(
                name: list[index], key: Self.name(index), about: [],
                record: state.records[Self.name(index)] ?? RevisionRecord(.skip, "it was not tested"))
        }
        let log = list.indices.map { "\(state.records[Self.name($0)]?.verdict.rawValue ?? "-")  \(list[$0])" }
        return BisectReport(
            state: state, bad: revision(search.bad), good: revision(search.good), candidates: search.candidates.map(revision),
            skipped: search.skipped.sorted().map(revision), log: log, folder: folder)
    }

    private static func name(_ index: Int) -> String { "entry-\(index)" }
}

// MARK: A repository

extension Search {
    private func builder(_ repository: BisectQuestion.Repository, _ tree: Repository) -> RevisionBuilder {
        RevisionBuilder(repository, tree: tree, cache: cache)
    }

    /// Judges the commit that is checked out in the worktree; what `git bisect run` runs.
    package mutating func step() async throws -> RevisionRecord {
        guard let repository = state.question.repository else { throw Plan.Environment("\(folder.path): the bisection has no repository") }
        let tree = Repository(folder.tree)
        let commit = try await tree.commit("HEAD", label: folder.tree)
        if let left = try await tree.bisectProgress() {
            progress("\(left.revisions) revisions may be the first bad one, about \(left.steps) steps left")
        }
        return try await judge(commit, builder(repository, tree))
    }

    private mutating func judge(_ commit: String, _ builder: RevisionBuilder) async throws -> RevisionRecord {
        let title = "\(commit.prefix(12)) (\(try await builder.tree.subject(commit)))"
        let (record, _) = try await record(of: commit, title: title, open: opener(commit, builder))
        try save()
        return record
    }

    private func opener(_ commit: String, _ builder: RevisionBuilder) -> @Sendable (RunFolder) async throws -> Build {
        let place = folder.revision(commit)
        let reader = trial.reader
        return { folder in
            do { try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true) } catch {
                throw Plan.Environment("\(place): cannot be made: \(systemReason(error))")
            }
            let binary = try await builder.binary(of: commit, folder: place)
            return try await reader.build(binary, folder: folder)
        }
    }

    private func end(_ commit: String, _ builder: RevisionBuilder) async throws -> Revision {
        let open = opener(commit, builder)
        return Revision(revision: commit, title: "\(commit.prefix(12)) (\(try await builder.tree.subject(commit)))") { folder in
            try await builder.tree.check(out: commit)
            return try await open(folder)
        }
    }

    /// Searches the repository of the question. `command`: the words by which `git bisect run` judges a revision with `step`.
    package mutating func searchRepository(command: [String]) async throws -> BisectReport {
        guard let repository = state.question.repository else { throw Plan.Environment("\(folder.path): the bisection has no repository") }
        let user = Repository(repository.path)
        let tree = try await user.worktree(at: folder.tree, commit: repository.bad)
        let builder = builder(repository, tree)
        let ends = (try await end(repository.good, builder), try await end(repository.bad, builder))
        try await judgeEnds(ends)
        try await tree.ask(["bisect", "start", repository.bad, repository.good])
        var log = try await tree.ask(["bisect", "log"])
        var status: Int32 = 0
        // Ends that follow each other leave nothing to run.
        if Repository.outcome(ofLog: log) == nil {
            status = try await bisectRun(tree, command)
            log = try await tree.ask(["bisect", "log"])
        }
        guard let known = try BisectState(path: folder.state) else { throw Plan.Environment("\(folder.state): the state is gone") }
        state = known
        guard let outcome = Repository.outcome(ofLog: log) else {
            throw Plan.Environment(
                "git bisect run ended with status \(status) before the first bad commit was found; its words are in \(folder.gitLog), and "
                    + "the same command goes on")
        }
        let report = try await report(outcome, user, log)
        try await user.remove(worktree: folder.tree)
        return report
    }

    /// Runs `git bisect run` with its output in a file; what the steps tell of their progress comes on standard error.
    private func bisectRun(_ tree: Repository, _ command: [String]) async throws -> Int32 {
        let file = try FileDescriptor.open(
            FilePath(folder.gitLog), .writeOnly, options: [.create, .truncate, .closeOnExec],
            permissions: [.ownerReadWrite, .groupRead, .otherRead])
        defer { try? file.close() }
        var options = PlatformOptions()
        options.teardownSequence = [.send(signal: .terminate, allowedDurationToNextStep: .seconds(1))]
        let result = try await run(
            .name("git"), arguments: Arguments(tree.arguments + ["bisect", "run"] + command), environment: Repository.environment,
            platformOptions: options, input: .none, output: .fileDescriptor(file, closeAfterSpawningProcess: false),
            error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false))
        try Task.checkCancellation()
        return switch result.terminationStatus {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    }

    private func report(_ outcome: BisectOutcome, _ user: Repository, _ log: String) async throws -> BisectReport {
        var revisions: [String: BisectReport.Revision] = [:]
        for (commit, record) in state.records {
            revisions[commit] = BisectReport.Revision(name: commit, about: try await user.about(commit), record: record)
        }
        var candidates: [BisectReport.Revision] = []
        for commit in outcome.candidates {
            if let known = revisions[commit] {
                candidates.append(known)
            } else {
                let untested = RevisionRecord(.skip, "it was not tested")
                candidates.append(BisectReport.Revision(name: commit, about: try await user.about(commit), record: untested))
            }
        }
        guard let bad = candidates.first(where: { $0.record.verdict == .bad }) ?? revisions[state.question.repository?.bad ?? ""] else {
            throw Plan.Environment("\(folder.state): the state has no record of the bad end")
        }
        let skipped = state.order.compactMap { revisions[$0] }.filter { $0.record.verdict == .skip }
        return BisectReport(
            state: state, bad: bad, good: try await nearestGood(before: bad.name, user, revisions), candidates: candidates,
            skipped: skipped, log: log.split(separator: "\n").map(String.init), folder: folder)
    }

    /// The good revision that is the fewest commits before another.
    private func nearestGood(
        before commit: String, _ user: Repository, _ revisions: [String: BisectReport.Revision]
    ) async throws -> BisectReport.Revision? {
        var nearest: (distance: Int, revision: BisectReport.Revision)?
        for revision in revisions.values where revision.record.verdict == .good {
            let count = try await user.git(["rev-list", "--count", "\(revision.name)..\(commit)"])
            let isAncestor = try await user.git(["merge-base", "--is-ancestor", revision.name, commit]).status == 0
            guard count.status == 0, isAncestor, let distance = Int(count.output.trimmingCharacters(in: .whitespacesAndNewlines)) else {
                continue
            }
            if distance < nearest?.distance ?? .max { nearest = (distance, revision) }
        }
        return nearest?.revision
    }
}
