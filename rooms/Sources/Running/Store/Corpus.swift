/// The golden corpus: traces of real QEMUs that are kept in git, one file a cell, named as the cell.
import Foundation
import MigrationTrace
import Verification

/// Which traces a run writes to the corpus.
package enum RecordMode: String, CaseIterable, Sendable {
    /// Those that the corpus has, anew.
    case all
    /// Those that the corpus has and that are not judged as their header says any more.
    case failed
    /// Those that the corpus has not.
    case missing
    case never
}

package struct Corpus: Sendable {
    package let folder: String
    package let mode: RecordMode

    package init(folder: String, mode: RecordMode) {
        self.folder = folder
        self.mode = mode
    }

    /// Files of the corpus, sorted.
    package static func traces(in folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".trace") }.sorted().map { "\(folder)/\($0)" }
    }

    /// Takes a cell's trace if the mode asks for it; returns the file written. Only what was as predicted becomes golden.
    package func take(_ cell: String, isFinding: Bool, trace: String) throws -> String? {
        guard mode != .never, !isFinding, FileManager.default.fileExists(atPath: trace) else { return nil }
        let file = "\(folder)/\(cell).trace"
        let isThere = FileManager.default.fileExists(atPath: file)
        switch mode {
        case .never: return nil
        case .missing: guard !isThere else { return nil }
        case .all: guard isThere else { return nil }
        case .failed: guard isThere, try !isJudgedAsRecorded(file) else { return nil }
        }
        try Trace(path: trace).write(path: file)
        return file
    }

    private func isJudgedAsRecorded(_ file: String) throws -> Bool {
        guard let trace = try? Trace(path: file) else { return false }
        return RecordedJudgement(trace, judge(trace)).differences.isEmpty
    }
}

/// A trace that carries the judgement of its recording, judged again.
package struct RecordedJudgement: Hashable, Sendable {
    /// What is not as recorded, a sentence each.
    package let differences: [String]

    package init(_ trace: Trace, _ judgement: Judgement) {
        var differences: [String] = []
        if judgement.verdict.rawValue != trace.header.verdict {
            differences.append("verdict: expected \(trace.header.verdict) as recorded, found \(judgement.verdict.rawValue)")
        }
        let broken = Set(judgement.broken)
        let recorded = Set(trace.header.broken)
        for rule in recorded.subtracting(broken).sorted() { differences.append("expected \(rule) to be broken as recorded, found it kept") }
        for rule in broken.subtracting(recorded).sorted() { differences.append("expected \(rule) to be kept as recorded, found it broken") }
        self.differences = differences
    }
}
