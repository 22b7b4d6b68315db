/// What a bisection found, as a text that can go into a mail as it is.
import Foundation
import Matrix
import MigrationTrace
import Plan
import Reports

package struct BisectReport: Sendable {
    /// A revision with its record.
    package struct Revision: Sendable {
        /// The commit, or the entry of the list.
        package let name: String
        /// The name by which the state knows it.
        let key: String
        /// Author, date and subject of a commit; empty for an entry of a list.
        package let about: [String]
        package let record: RevisionRecord

        package init(name: String, key: String? = nil, about: [String], record: RevisionRecord) {
            (self.name, self.key, self.about, self.record) = (name, key ?? name, about, record)
        }

        var short: String { about.isEmpty ? name : String(name.prefix(12)) }
        var subject: String { about.last ?? "" }
        var title: String { about.isEmpty ? name : "\(short) (\"\(subject)\")" }
    }

    package let state: BisectState
    /// The first bad revision; where it cannot be told, the earliest that is known to be bad.
    package let bad: Revision
    /// The nearest good one before it.
    package let good: Revision?
    /// Those of which one is the first bad one; one, if it was found.
    package let candidates: [Revision]
    /// What each skipped revision could not tell.
    package let skipped: [Revision]
    /// The lines of `git bisect log`.
    package let log: [String]
    package let folder: BisectFolder

    package init(
        state: BisectState, bad: Revision, good: Revision?, candidates: [Revision], skipped: [Revision], log: [String], folder: BisectFolder
    ) {
        self.state = state
        self.bad = bad
        self.good = good
        self.candidates = candidates
        self.skipped = skipped
        self.log = log
        self.folder = folder
    }

    private var question: BisectQuestion { state.question }
    package var isFound: Bool { candidates.count == 1 }

    private var what: String {
        switch question.aim {
        case .failure:
            state.failure.map { failure in failure.parts.first.map { "\(failure.ending), \($0)" } ?? failure.ending } ?? "a failure"
        case .mode: "the cell runs \(wantedMode)"
        }
    }

    private var wantedMode: String {
        let mode = state.wantedMode ?? "another"
        return SwitchoverAckMode(rawValue: mode) == nil ? mode : "in \(mode) mode"
    }

    /// The first line of the report, and of what the command says at its end.
    package var headline: String {
        isFound
            ? "first bad \(question.repository == nil ? "binary" : "commit"): \(bad.title): \(what)"
            : "the first bad one is one of \(candidates.count), of which \(skipped.count) could not be told: "
                + candidates.map(\.short).joined(separator: ", ")
    }

    package func text() -> String {
        let parts: [[String]] = [
            ["Subject: " + headline], who, asked, comparison, notes, explanation, others, logLines, reproduction,
        ]
        return parts.filter { !$0.isEmpty }.map { $0.map(escaped).joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    private var who: [String] {
        guard bad.about.count >= 4 else { return [] }
        return ["commit \(bad.name)", "Author: \(bad.about[1])", "Date:   \(bad.about[2])", "", "    \(bad.subject)"]
    }

    private var asked: [String] {
        let sides = question.side == .both ? "both sides" : "the \(question.side.rawValue)"
        return wrap("The build is \(sides) of \(bad.record.test ?? question.cell).", width: 100)
            + (question.aim == .mode
                ? ["Bad is a revision whose source runs it \(wantedMode)."]
                : wrap("Bad is a revision that shows this: \(state.failure?.description ?? "").", width: 100))
    }

    private func trace(_ revision: Revision) -> Trace? { try? Trace(path: folder.revision(revision.key) + "/" + Cell.traceFile) }

    private var comparison: [String] {
        guard let good else { return ["No good revision before it was run, so that there is nothing to compare it with."] }
        let builds = [("build", good.record.build, bad.record.build), ("machine", good.record.machine, bad.record.machine)]
            .map { "  \(padded($0.0, 14))\(padded($0.1 ?? "-", 40))\($0.2 ?? "-")" }
        guard let before = trace(good), let after = trace(bad) else {
            return ["before: \(good.title)", "after:  \(bad.title)"] + builds
                + ["", "  \(padded("mode", 14))\(padded(modeWord(good.record.mode), 40))\(modeWord(bad.record.mode))"]
        }
        let table = BeforeAndAfter(before: before, after: after)
        return ["before: \(good.title)", "after:  \(bad.title)"] + builds + table.lines(before: "before", after: "after")
            + ["", "The first difference that matters (- before, + after):"] + table.partingLines
    }

    /// What a reader must know to trust the result.
    private var notes: [String] {
        var notes: [String] = []
        if let good, question.aim == .failure, good.record.mode != bad.record.mode {
            notes.append(
                "The revision changes the mode of the cell: before it \(modeSentence(good.record.mode)), after it "
                    + "\(modeSentence(bad.record.mode)). The two are not the same test: the failure may be older, and show only in the "
                    + "new mode."
            )
        }
        for revision in [good, bad] {
            guard let revision, let asked = revision.record.mappedFrom else { continue }
            notes.append(
                "\(revision.short) has no machine type \(asked) in common with the other side; the cell ran with "
                    + "\(revision.record.machine ?? "another")."
            )
        }
        return notes.flatMap { wrap("Note: " + $0, width: 100, indent: "      ") }
    }

    private var explanation: [String] {
        guard let text = try? String(contentsOfFile: folder.revision(bad.key) + "/explanation.txt", encoding: .utf8) else { return [] }
        return ["--- \(bad.short) explained ---"]
            + text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).dropLast()
    }

    private var others: [String] {
        guard !skipped.isEmpty else { return [] }
        return ["--- could not be told ---"] + skipped.flatMap { wrap("\($0.title): \($0.record.reason)", width: 100, indent: "    ") }
    }

    private var logLines: [String] { log.isEmpty ? [] : ["--- log ---"] + log }

    private var reproduction: [String] {
        bad.record.reproduce.isEmpty ? [] : ["--- again ---", bad.record.reproduce]
    }
}
