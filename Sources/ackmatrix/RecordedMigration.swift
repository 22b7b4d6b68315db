/// One migration that a command shows or compares: a trace, a cell's folder, or the logs of its sides.
import ArgumentParser
import Foundation
import Matrix
import MigrationTrace
import Pictures
import Plan
import Running
import Verification

struct RecordedMigration {
    let title: String
    let story: Story
    let judgement: Judgement
    /// One line for each side.
    let sides: [String]

    /// Opens a trace, the folder of a cell, or one log or two. `migration`: the number of one of several in the logs, from 1; nil: the
    /// last. Throws `Environment` and `LogRefusal`.
    init(paths: [String], migration: Int? = nil) throws {
        if paths.count == 1, let trace = try Self.trace(at: paths[0]) {
            guard migration == nil else {
                throw ValidationError("--migration: expected logs, found \(paths[0]), which is a trace and holds one migration")
            }
            self.init(trace, title: trace.header.cell.isEmpty ? paths[0] : trace.header.cell)
            return
        }
        guard 1...2 ~= paths.count else { throw LogRefusal.count(paths.count) }
        for path in paths {
            guard path != "-", try isReadTwice(path) else {
                throw Environment("\(path): expected a file, which is read twice, found a pipe or the like; save it to a file first")
            }
        }
        let (read, judged) = try judgeAll(paths.map { LogSource(path: $0) })
        if let migration, !judged.indices.contains(migration - 1) { throw LogRefusal.noSuchMigration(migration, judged.count) }
        let number = migration ?? judged.count
        let chosen = judged[number - 1]
        var reader = StoryReader()
        var sides: [String] = []
        for (side, part) in [(StreamName.source, chosen.source), (.destination, chosen.destination)] {
            guard let part else {
                sides.append("\(side.rawValue): no log")
                continue
            }
            let log = read.first { $0.migrations.contains { $0.side == part.side && $0.lines == part.lines } }?.name ?? paths[0]
            sides.append("\(side.rawValue): \(log), lines \(part.lines.lowerBound) to \(part.lines.upperBound)")
            try Self.read(log, part.lines, as: side, into: &reader)
        }
        self.init(
            title: paths.joined(separator: " + ") + (judged.count > 1 ? ", migration \(number) of \(judged.count)" : ""),
            story: reader.story(), judgement: chosen.judgement, sides: sides)
    }

    private init(title: String, story: Story, judgement: Judgement, sides: [String]) {
        self.title = title
        self.story = story
        self.judgement = judgement
        self.sides = sides
    }

    init(_ trace: Trace, title: String) {
        self.init(title: title, story: Story(trace), judgement: judge(trace), sides: Picture.sides(of: trace.header))
    }

    var picture: Picture {
        var picture = Picture(story, title: title)
        picture.sides = sides
        picture.add(judgement)
        return picture
    }

    var run: SideBySide.Run { SideBySide.Run(story, judgement, title: title) }

    /// The trace at a path, or in the folder of a cell; nil where the path is no trace.
    private static func trace(at path: String) throws -> Trace? {
        var isFolder: ObjCBool = false
        guard path == "-" || FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
            throw Environment("\(path): no such file or folder")
        }
        var file = path
        if isFolder.boolValue {
            file = path + "/" + Cell.traceFile
            guard FileManager.default.fileExists(atPath: file) else {
                throw Environment("\(path): expected a trace, a cell's folder or a log, found a folder without \(Cell.traceFile)")
            }
        }
        guard try isTrace(file) else { return nil }
        do { return try Trace(path: file) } catch let error as TraceError { throw Environment("\(file): \(error)") }
    }

    private static func read(_ log: String, _ lines: ClosedRange<Int>, as side: StreamName, into reader: inout StoryReader) throws {
        var log = try LogReader(path: log)
        while let line = try log.next() {
            guard line.position.line <= lines.upperBound else { return }
            guard line.position.line >= lines.lowerBound, case .record(let record) = line.content else { continue }
            reader.handle(record, at: Place(stream: side, line: line.position.line), time: line.stamp?.realtime)
        }
    }
}

/// True if the file begins as a trace does. Throws `Environment` for a pipe that has a path, whose opening waits for its writer.
func isTrace(_ path: String) throws -> Bool {
    guard path != "-", !path.hasPrefix("/dev/fd/"), !path.hasPrefix("/proc/self/fd/") else { return false }
    guard try isReadTwice(path) else {
        throw Environment("\(path): expected a file, which is read twice, found a pipe or the like; save it to a file first")
    }
    guard let file = FileHandle(forReadingAtPath: path) else { throw Environment("\(path): cannot be read") }
    defer { try? file.close() }
    return file.readData(ofLength: 16).starts(with: Data("ackmatrix-trace ".utf8))
}

/// Writes a text to a file, whole or not at all. Throws `Environment`.
func write(_ text: String, to path: String) throws {
    do { try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic) } catch {
        throw Environment("\(path): cannot be written: \(systemReason(error))")
    }
}
