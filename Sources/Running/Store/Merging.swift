/// Makes one run of the shards of a run. Shards that differ in what decides results, that are not complete, missing or there twice are
/// refused before anything is written; results that a shard cannot have are refused where they stand.
import Foundation
import Matrix
import Plan
import QEMUPeer

package struct Merging: Sendable {
    package struct Part: Sendable {
        package let path: String
        package let header: RunHeader
        package let record: RunRecord
        package let shard: Shard
    }

    /// All shards, in order.
    package let parts: [Part]
    /// The header of the whole run.
    package let header: RunHeader

    /// Reads the headers of the runs in some folders, which must be all shards of one run. Throws `Environment` or `ResultLogError`.
    package init(_ folders: [String]) throws {
        var parts: [Part] = []
        for path in folders { parts.append(try Self.part(path)) }
        guard let first = parts.first else { throw Environment("expected the folders of shards, found none") }
        for part in parts.dropFirst() {
            guard part.shard.count == first.shard.count else {
                throw Environment(
                    "\(part.path) and \(first.path): expected shards of one run, found shard \(part.shard) and shard \(first.shard)")
            }
            let differences = part.header.differences(from: first.header)
            guard differences.isEmpty else {
                throw Environment(
                    "\(part.path) and \(first.path): expected shards of one run, found that they differ: "
                        + differences.joined(separator: "; "))
            }
        }
        let byNumber = Dictionary(grouping: parts, by: \.shard.number)
        if let doubled = byNumber.filter({ $0.value.count > 1 }).min(by: { $0.key < $1.key })?.value {
            throw Environment(
                "expected each shard once, found shard \(doubled[0].shard) in "
                    + doubled.map(\.path).joined(separator: " and "))
        }
        let missing = (1...first.shard.count).filter { byNumber[$0] == nil }
        guard missing.isEmpty else {
            let shown = missing.prefix(5).map { "\($0)/\(first.shard.count)" }.joined(separator: ", ")
            throw Environment(
                "expected all \(first.shard.count) shards, found \(parts.count): missing \(shown)"
                    + (missing.count > 5 ? " and \(missing.count - 5) more" : ""))
        }
        self.parts = parts.sorted { $0.shard.number < $1.shard.number }
        header = Self.whole(self.parts)
    }

    private static func part(_ path: String) throws -> Part {
        guard let run = KeptRun(path) else {
            throw Environment("\(path): expected the folder of a run with its run.json, found none; see: ackmatrix results")
        }
        guard run.record.state == .complete else {
            throw Environment(
                "\(path): expected a complete run, found one that is \(run.state); go on with it: "
                    + "ackmatrix run --resume \(shellQuoted(path))"
            )
        }
        guard let header = try ResultReader.header(ofRunIn: path) else {
            throw Environment("\(path): expected a results.jsonl that begins with a header, found none: an earlier version made it")
        }
        guard let shard = header.shard else {
            let what = header.merged.map { "one that was merged from \(counted($0.count, "run"))" } ?? "a run of all cells"
            throw Environment("\(path): expected a shard (ackmatrix run --shard K/N), found \(what)")
        }
        return Part(path: path, header: header, record: run.record, shard: shard)
    }

    private static func whole(_ parts: [Part]) -> RunHeader {
        var header = parts[0].header
        header.shard = nil
        header.id = ""
        header.merged = parts.map(\.header.id)
        header.started = parts.map(\.header.started).min() ?? header.started
        header.machines = parts.flatMap(\.header.machines).reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        return header
    }

    // MARK: What the shards have together

    /// Cells that did not run, because their binaries do not migrate to each other where they were to run.
    package var notRun: SkippedCells {
        parts.reduce(into: SkippedCells()) { all, part in if let cells = part.record.notRun { all.formUnion(cells) } }
    }

    /// The wall time of the longest shard, of each kind of side.
    package var durations: [SideKind: Double] {
        var durations: [SideKind: Double] = [:]
        for part in parts {
            for (name, seconds) in part.record.seconds ?? [:] {
                guard let kind = SideKind(rawValue: name) else { continue }
                durations[kind] = max(durations[kind] ?? 0, seconds)
            }
        }
        return durations
    }

    /// The canaries of the shards in one sentence, and the sentences of those that were accepted; nil where no shard had one.
    package var canary: (text: String, accepted: [String])? {
        let canaries = parts.compactMap(\.record.canary)
        guard !canaries.isEmpty else { return nil }
        let accepted = canaries.filter(\.isAccepted).map(\.text)
        let texts = canaries.map(\.text).reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
        guard accepted.isEmpty else { return (accepted[0], accepted) }
        return (texts.count == 1 ? texts[0] : "\(texts[0]); and the canaries of \(counted(canaries.count - 1, "other shard"))", [])
    }

    /// Reads the results, shard after shard. Throws `ResultLogError` at a result that its shard cannot have, and `Environment` where cells
    /// are missing, or whatever `report` throws.
    package func results(_ report: (ResultReader.Result) throws -> Void) throws {
        var found = CellTally()
        for part in parts {
            var rounds: [String: Int] = [:]
            var reader = try ResultReader(path: part.path + "/results.jsonl")
            while let result = try reader.next() {
                try Task.checkCancellation()
                let cell = result.line.cell
                guard part.shard.contains(cell) else { throw reader.error("expected a cell of shard \(part.shard), found '\(cell)'") }
                let round = rounds[cell, default: 0] + 1
                guard round <= header.rounds else {
                    throw reader.error("expected \(counted(header.rounds, "result")) of \(cell), found another one")
                }
                rounds[cell] = round
                if round == 1 { found.add(cell) }
                guard found.count <= header.cells.count else {
                    throw reader.error("expected \(counted(header.cells.count, "cell")) in all shards, found another one, '\(cell)'")
                }
                try report(result)
            }
            if let short = rounds.filter({ $0.value < header.rounds }).min(by: { $0.key < $1.key }) {
                throw Environment(
                    "\(part.path)/results.jsonl: expected \(counted(header.rounds, "result")) of \(short.key), found \(short.value)")
            }
        }
        let ran = found.count
        for name in notRun.allNames { found.add(name) }
        guard found == header.cells else {
            throw Environment(
                "expected \(counted(header.cells.count, "cell")) in all shards, found \(ran) with a result and "
                    + "\(found.count - ran) that could not run" + (found.count == header.cells.count ? ", with other names" : "")
                    + "; the results.jsonl of a shard was changed")
        }
    }
}
