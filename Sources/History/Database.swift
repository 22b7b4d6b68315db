/// SQLite of the system, as far as the history needs it: statements, rows, and transactions that another process waits for.
import CSQLite
import Foundation
import Glibc
import Plan

/// A connection, for the thread that opened it.
final class Database {
    enum Value {
        case text(String)
        case integer(Int)
        case real(Double)
        case null

        init(_ text: String?) { self = text.map(Value.text) ?? .null }
    }

    /// The row that a statement stands at, within one call.
    struct Row {
        fileprivate let statement: OpaquePointer

        func text(_ column: Int32) -> String? {
            guard let bytes = sqlite3_column_text(statement, column) else { return nil }
            let count = Int(sqlite3_column_bytes(statement, column))
            return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
        }

        func integer(_ column: Int32) -> Int { Int(sqlite3_column_int64(statement, column)) }
        func real(_ column: Int32) -> Double { sqlite3_column_double(statement, column) }
    }

    private let path: String
    private let handle: OpaquePointer

    /// How long a connection waits for another one's transaction, in milliseconds.
    private static let patience: Int32 = 60_000

    /// Opens the file; it is made if `creates`. Throws `Environment`.
    init(path: String, creates: Bool) throws {
        self.path = path
        var handle: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | (creates ? SQLITE_OPEN_CREATE : 0) | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE
        let status = sqlite3_open_v2(path, &handle, flags, nil)
        guard let handle else { throw Environment("\(path): cannot be opened: out of memory") }
        guard status == SQLITE_OK else {
            let reason = String(cString: sqlite3_errmsg(handle))
            sqlite3_close_v2(handle)
            throw Environment("\(path): cannot be opened: \(reason)")
        }
        self.handle = handle
        sqlite3_busy_timeout(handle, Self.patience)
        // What the file says must not run code of its own: it may be somebody else's.
        try execute("pragma trusted_schema = off")
    }

    deinit { sqlite3_close_v2(handle) }

    /// Runs one statement, and hands its rows to `body`. Throws `Environment`, or what `body` throws.
    func rows(_ sql: String, _ values: [Value] = [], _ body: (Row) throws -> Void) throws {
        var prepared: OpaquePointer?
        guard sqlite3_prepare_v2(handle, sql, -1, &prepared, nil) == SQLITE_OK, let statement = prepared else { throw failure() }
        defer { sqlite3_finalize(statement) }
        for (index, value) in values.enumerated() { try bind(value, Int32(index + 1), statement) }
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: try body(Row(statement: statement))
            case SQLITE_DONE: return
            default: throw failure()
            }
        }
    }

    func execute(_ sql: String, _ values: [Value] = []) throws { try rows(sql, values) { _ in } }

    /// The number in the first column of the first row; 0 where there is none.
    func integer(_ sql: String, _ values: [Value] = []) throws -> Int {
        var first: Int?
        try rows(sql, values) { first = first ?? $0.integer(0) }
        return first ?? 0
    }

    /// Makes the log of the file a write-ahead log, which a kill at any time leaves readable. Another process may be doing the same.
    func useWriteAheadLog() throws {
        let deadline = ContinuousClock.now + .milliseconds(Int(Self.patience))
        while true {
            do {
                var mode: String?
                try rows("pragma journal_mode = wal") { mode = $0.text(0) }
                guard mode == "wal" else {
                    throw Environment("\(path): expected a file system that can share memory between processes, found one that cannot")
                }
                return
            } catch let error {
                // SQLite does not wait for this lock by itself.
                guard sqlite3_errcode(handle) & 0xff == SQLITE_BUSY, ContinuousClock.now < deadline else { throw error }
                usleep(10_000)
            }
        }
    }

    /// Does all of `body` or nothing. It begins as a writer, so that it waits for another one here and nowhere else.
    func transaction<Result>(_ body: () throws -> Result) throws -> Result {
        try execute("begin immediate")
        do {
            let result = try body()
            try execute("commit")
            return result
        } catch {
            // Some errors have rolled it back already.
            if sqlite3_get_autocommit(handle) == 0 { try? execute("rollback") }
            throw error
        }
    }

    private func bind(_ value: Value, _ index: Int32, _ statement: OpaquePointer) throws {
        // SQLite copies the bytes before the call returns.
        let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        let status =
            switch value {
            case .text(let text): sqlite3_bind_text(statement, index, text, Int32(text.utf8.count), copied)
            case .integer(let number): sqlite3_bind_int64(statement, index, Int64(number))
            case .real(let number): sqlite3_bind_double(statement, index, number)
            case .null: sqlite3_bind_null(statement, index)
            }
        guard status == SQLITE_OK else { throw failure() }
    }

    private func failure() -> Environment {
        Environment("\(path): SQLite says: \(String(cString: sqlite3_errmsg(handle))); name another file with --history")
    }
}
