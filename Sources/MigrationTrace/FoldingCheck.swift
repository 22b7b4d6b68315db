/// Reads a log twice, side by side: one reading is folded, and what its folds stand for is compared with the other reading. A log of any
/// length takes the same memory, since a fold is released once it was compared.
package struct FoldingCheck: Hashable, Sendable {
    /// What the log holds.
    package private(set) var summary = LogSummary()
    /// True if unfolding gives the same events and messages.
    package private(set) var isLossless = true
    /// Bytes of the entries in a trace.
    package private(set) var foldedBytes = 0

    /// The folds that are collected before they are compared.
    private static let batch = 512

    /// Reads the log at `path`. Throws `FileError`.
    package init(path: String) throws {
        var first = try LogReader(path: path)
        var second = try LogReader(path: path)
        try self.init(&first, &second)
    }

    init(_ first: inout LogReader, _ second: inout LogReader) throws {
        var folder = Folder()
        var folds: [Fold] = []
        var size = FoldedSize()
        func compare() throws {
            for fold in folds { size.add(fold) }
            var unfolded = FoldedStream.Iterator(folds)
            while isLossless, let entry = unfolded.next() {
                let other = try second.nextEntry()
                isLossless = other.map { $0.record == entry.record && $0.thread == entry.thread } ?? false
            }
            folds.removeAll(keepingCapacity: true)
        }
        while let entry = try first.nextEntry() {
            folder.append(entry, to: &folds)
            if folds.count >= Self.batch { try compare() }
        }
        folder.finish(into: &folds)
        try compare()
        if isLossless { isLossless = try second.nextEntry() == nil }
        summary = first.summary
        foldedBytes = size.bytes
    }
}

extension LogReader {
    /// The next line that a trace keeps.
    fileprivate mutating func nextEntry() throws -> Entry? {
        while let line = try next() {
            if let entry = Entry(line) { return entry }
        }
        return nil
    }
}
