/// The history of runs: a file of SQLite with what each cell showed in each run. Runs are filed by several processes at once, and a process
/// may be killed while it files one: a run is in the file whole or not at all.
import Foundation
import Matrix
import Plan
import Running

package struct History {
    /// Marks the files of this program, and the format of their tables.
    private static let application = 0x41_63_6b_6d
    private static let version = 1

    private let path: String
    private let database: Database

    /// A run as it was filed.
    package struct Run: Hashable, Sendable {
        package let id: String
        package let started: String
        package let state: String
        /// The commit, or the version where no commit is known.
        package let tool: String
        package let host: String
        package let shard: String?
        package let cells: Int
        package let findings: Int
        /// The sides with their versions, in words.
        package let sides: String
    }

    /// What a cell showed in a run.
    package struct Entry: Sendable {
        package let run: String
        package let started: String
        package let outcome: CellOutcome
    }

    /// What became of a run that was to be filed.
    package enum Filed: Hashable, Sendable {
        case added
        /// It was there, and is replaced.
        case replaced
        /// A run that it was merged into is there.
        case isPartOf(String)
    }

    /// Opens a history; `creates` makes one where there is none. Throws `Environment`.
    package init(path: String, creates: Bool) throws {
        guard creates || FileManager.default.fileExists(atPath: path) else {
            throw Environment("\(path): no history; file a run with: ackmatrix history add FOLDER, or ackmatrix run --history FILE")
        }
        self.path = path
        database = try Database(path: path, creates: creates)
        try checkOrMakeTables()
        try database.execute("pragma foreign_keys = on")
    }

    private func checkOrMakeTables() throws {
        func isOurs() throws -> Bool {
            let (application, version) = try (database.integer("pragma application_id"), database.integer("pragma user_version"))
            guard application != Self.application || version != Self.version else { return true }
            let isEmpty = try database.integer("select count(*) from sqlite_schema") == 0
            guard isEmpty, application == 0, version == 0 else {
                throw Environment(
                    application == Self.application
                        ? "\(path): expected a history of format \(Self.version), found \(version); use the ackmatrix that wrote it"
                        : "\(path): expected a history, found another database; name another file with --history")
            }
            return false
        }
        guard try !isOurs() else { return }
        try database.useWriteAheadLog()
        try database.transaction {
            // Another process may have made them.
            guard try !isOurs() else { return }
            for statement in Self.tables { try database.execute(statement) }
            try database.execute("pragma application_id = \(Self.application)")
            try database.execute("pragma user_version = \(Self.version)")
        }
    }

    private static let tables = [
        """
        create table run (
            id text primary key, started text not null, state text not null, tool text not null, host text not null, kernel text not null,
            shard text, cells integer not null, findings integer not null, sides text not null
        ) strict
        """,
        // The shards that a run was merged of.
        "create table part (shard text primary key, run text not null references run on delete cascade) strict",
        """
        create table outcome (
            run text not null references run on delete cascade, cell text not null,
            runs integer not null, findings integer not null, reason text, ending text not null,
            legs text not null, deviations text not null,
            source text not null, source_version text not null, source_machine text not null,
            destination text not null, destination_version text not null, destination_machine text not null,
            seconds real not null, primary key (cell, run)
        ) strict, without rowid
        """,
        "create index outcome_of_run on outcome (run)",
    ]
}

// MARK: Filing runs

extension History {
    /// Files the run in a folder, whole or not at all. Throws `Environment`, or `ResultLogError` at a line that is no result.
    package func add(runIn folder: String) throws -> Filed {
        guard let run = KeptRun(folder) else {
            throw Environment("\(folder): expected the folder of a run with its run.json, found none; see: ackmatrix results")
        }
        guard run.state != RunRecord.State.running.rawValue else {
            throw Environment("\(folder): expected a run that has ended, found that a process runs it; wait until it has ended")
        }
        return try add(folder, run.record, state: run.state)
    }

    /// Files the run that this process has just ended, and whose folder it still holds.
    package func add(endedRunIn folder: String) throws -> Filed {
        guard let record = RunRecord(path: folder + "/run.json") else { throw Environment("\(folder)/run.json: cannot be read") }
        return try add(folder, record, state: record.state.rawValue)
    }

    private func add(_ folder: String, _ record: RunRecord, state: String) throws -> Filed {
        var reader = try ResultReader(path: folder + "/results.jsonl")
        let header = reader.header
        var outcomes = RunOutcomes(label: folder)
        try outcomes.read(&reader)
        let name = URL(fileURLWithPath: folder).lastPathComponent
        let id = header.map { $0.id.isEmpty ? name : $0.id } ?? name
        return try database.transaction {
            var owner: String?
            try database.rows("select run from part where shard = ?", [.text(id)]) { owner = $0.text(0) }
            if let owner { return .isPartOf(owner) }
            let wasThere = try database.integer("select count(*) from run where id = ?", [.text(id)]) > 0
            for old in [id] + (header?.merged ?? []) { try database.execute("delete from run where id = ?", [.text(old)]) }
            try database.execute(
                "insert into run values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    .text(id), .text(header?.started ?? record.started), .text(state),
                    .text(header.map { $0.tool.commit ?? $0.tool.version } ?? "not known"),
                    .text(words(header?.machines.map(\.host))), .text(words(header?.machines.map(\.kernel))),
                    Database.Value(header?.shard?.description), .integer(outcomes.cells.count),
                    .integer(outcomes.cells.values.count { !$0.passed }), .text(outcomes.sidesInWords),
                ])
            for shard in header?.merged ?? [] {
                try database.execute("insert or replace into part values (?, ?)", [.text(shard), .text(id)])
            }
            for outcome in outcomes.cells.values { try insert(outcome, id) }
            return wasThere ? .replaced : .added
        }
    }

    private func words(_ texts: [String]?) -> String { texts.map { Set($0).sorted().joined(separator: ", ") } ?? "not known" }

    private func insert(_ outcome: CellOutcome, _ run: String) throws {
        let (source, destination) = (outcome.source, outcome.destination)
        try database.execute(
            "insert into outcome values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                .text(run), .text(outcome.cell), .integer(outcome.runs), .integer(outcome.findings), Database.Value(outcome.reason),
                .text(outcome.ending), .text(try json(outcome.legs)), .text(try json(outcome.deviations)), .text(source.binary),
                .text(source.version), .text(source.machine), .text(destination.binary), .text(destination.version),
                .text(destination.machine), .real(outcome.seconds),
            ])
    }

    private func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

// MARK: Reading

extension History {
    /// The newest runs, the newest first.
    package func runs(last count: Int) throws -> [Run] {
        var runs: [Run] = []
        try database.rows(
            "select id, started, state, tool, host, shard, cells, findings, sides from run order by started desc, id desc limit ?",
            [.integer(count)]
        ) { row in
            runs.append(
                Run(
                    id: row.text(0) ?? "", started: row.text(1) ?? "", state: row.text(2) ?? "", tool: row.text(3) ?? "",
                    host: row.text(4) ?? "", shard: row.text(5), cells: row.integer(6), findings: row.integer(7), sides: row.text(8) ?? ""))
        }
        return runs
    }

    /// The names of the cells that have the text in their names, sorted, at most so many, and the number of all.
    package func cells(containing text: String, most: Int) throws -> (names: [String], count: Int) {
        var names: [String] = []
        try database.rows(
            "select distinct cell from outcome where instr(cell, ?) > 0 order by cell limit ?", [.text(text), .integer(most)]
        ) { names.append($0.text(0) ?? "") }
        let count = try database.integer("select count(distinct cell) from outcome where instr(cell, ?) > 0", [.text(text)])
        return (names, count)
    }

    /// What a cell showed in the newest runs, the newest first.
    package func entries(of cell: String, last count: Int) throws -> [Entry] {
        var entries: [Entry] = []
        try database.rows(
            "select \(Self.columns), run.id, run.started from outcome join run on run.id = outcome.run where cell = ? "
                + "order by run.started desc, run.id desc limit ?", [.text(cell), .integer(count)]
        ) { row in entries.append(Entry(run: row.text(14) ?? "", started: row.text(15) ?? "", outcome: try outcome(row))) }
        return entries
    }

    /// The outcomes of a run. Throws `Environment` where no run, or more than one, has an id that begins so.
    package func outcomes(ofRun prefix: String) throws -> RunOutcomes {
        var ids: [String] = []
        try database.rows("select id from run where substr(id, 1, length(?1)) = ?1 order by id limit 3", [.text(prefix)]) {
            ids.append($0.text(0) ?? "")
        }
        guard ids.count == 1 || ids.first == prefix, let id = ids.first else {
            throw Environment(
                "\(path): expected the id of a run, or its beginning, found '\(prefix)', which "
                    + (ids.isEmpty ? "no run has" : "several runs have") + "; see: ackmatrix history")
        }
        var outcomes = RunOutcomes(label: id)
        try database.rows("select \(Self.columns) from outcome where run = ?", [.text(id)]) { row in
            let outcome = try outcome(row)
            outcomes.cells[outcome.cell] = outcome
        }
        return outcomes
    }

    private static let columns =
        "cell, runs, outcome.findings, reason, legs, deviations, source, source_version, source_machine, destination, destination_version, "
        + "destination_machine, seconds, run"

    private func outcome(_ row: Database.Row) throws -> CellOutcome {
        func text(_ column: Int32) -> String { row.text(column) ?? "" }
        func decoded<Value: Decodable>(_ column: Int32, _ type: Value.Type) throws -> Value {
            do { return try JSONDecoder().decode(type, from: Data(text(column).utf8)) } catch {
                throw Environment(
                    "\(path): the entry of \(text(0)) in the run \(text(13)) was changed and cannot be read; file the run again")
            }
        }
        return CellOutcome(
            cell: text(0), source: .init(binary: text(6), version: text(7), machine: text(8)),
            destination: .init(binary: text(9), version: text(10), machine: text(11)), runs: row.integer(1), findings: row.integer(2),
            reason: row.text(3), legs: try decoded(4, [LegShowing].self), deviations: try decoded(5, [String].self), seconds: row.real(12))
    }
}
