/// Real logs as lines that tests can alter, and the judgement of such lines.
import Foundation
import MigrationTrace
import TestSupport
import Testing

@testable import Verification

/// The streams of one migration, as lines.
struct Recording: Sendable {
    var lines: [StreamName: [String]]
    var circumstances = Circumstances()

    /// Captures of two real QEMUs, or of one that faced something else.
    static func capture(_ tag: String) throws -> Recording {
        var lines: [StreamName: [String]] = [:]
        for (stream, suffix) in [(StreamName.source, "src"), (.destination, "dst")] {
            let path = logPath("\(tag).\(suffix).log")
            guard FileManager.default.fileExists(atPath: path) else { continue }
            var text = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false).map(
                String.init)
            if text.last == "" { text.removeLast() }
            lines[stream] = text
        }
        guard !lines.isEmpty else { throw CocoaError(.fileNoSuchFile) }
        return Recording(lines: lines)
    }

    static func trace(_ cell: String) throws -> Trace {
        try Trace(path: TestCorpus.path("cells/\(cell).trace"))
    }

    /// A driven cell with mock devices: all four streams, unfolded.
    static func cell(_ name: String) throws -> Recording {
        let trace = try trace(name)
        var lines: [StreamName: [String]] = [:]
        for stream in StreamName.allCases { lines[stream] = trace[stream].compactMap { $0.event?.line } }
        return Recording(lines: lines, circumstances: Circumstances(trace.header))
    }

    /// A capture or a cell.
    static func named(_ name: String) throws -> Recording { try name.hasPrefix("cell ") ? cell(String(name.dropFirst(5))) : capture(name) }

    /// The logs of the sides, without those of the devices.
    var logs: [[UInt8]] {
        [StreamName.source, .destination].compactMap { lines[$0] }.map { Array(($0.joined(separator: "\n") + "\n").utf8) }
    }

    var sides: Verifier.Sides { lines[.destination] == nil ? .source : lines[.source] == nil ? .destination : .both }

    func judgement(endingWithLineEnd: Bool = true) throws -> Judgement {
        var verifier = Verifier(circumstances, sides: sides)
        for stream in StreamName.allCases {
            guard let lines = lines[stream] else { continue }
            let text = lines.joined(separator: "\n") + (endingWithLineEnd ? "\n" : "")
            var reader = LogReader(Array(text.utf8))
            try verifier.read(&reader, as: stream)
        }
        return verifier.judgement()
    }

    /// The number of the last line before `count` lines that holds an event.
    func lastEvent(_ stream: StreamName, within count: Int) throws -> Int? {
        var reader = LogReader(Array((lines[stream]!.prefix(count).joined(separator: "\n") + "\n").utf8))
        var last: Int?
        while let line = try reader.nextEvent() { last = line.position.line }
        return last
    }

    /// Numbers of the lines that contain the text.
    func numbers(_ stream: StreamName, _ text: String) -> [Int] {
        (lines[stream] ?? []).enumerated().filter { $0.element.contains(text) }.map { $0.offset + 1 }
    }

    /// The same, of which there must be one: a test that alters each of these lines must not pass without any.
    func some(_ stream: StreamName, _ text: String) throws -> [Int] {
        let found = numbers(stream, text)
        try #require(!found.isEmpty, "no line of the \(stream) has '\(text)'")
        return found
    }

    func number(_ stream: StreamName, _ text: String, after line: Int = 0) -> Int? { numbers(stream, text).first { $0 > line } }

    func hasGaps(_ stream: StreamName) -> Bool { lines[stream]!.contains { $0.hasPrefix("#") } }

    /// Whether lines are missing since the last line with this text.
    func gap(_ stream: StreamName, before line: Int, since text: String) -> Bool {
        let last = numbers(stream, text).last { $0 < line } ?? 0
        return lines[stream]![last..<line].contains { $0.hasPrefix("#") }
    }

    /// Whether lines are missing within a few lines of this one.
    func gap(_ stream: StreamName, near line: Int) -> Bool {
        lines[stream]![max(line - 6, 0)..<min(line + 6, lines[stream]!.count)].contains { $0.hasPrefix("#") }
    }

    // MARK: Alterations

    func removing(_ stream: StreamName, _ line: Int) -> Recording {
        var other = self
        other.lines[stream]!.remove(at: line - 1)
        return other
    }

    func doubling(_ stream: StreamName, _ line: Int) -> Recording {
        var other = self
        other.lines[stream]!.insert(other.lines[stream]![line - 1], at: line)
        return other
    }

    func inserting(_ stream: StreamName, _ text: String, before line: Int) -> Recording {
        var other = self
        other.lines[stream]!.insert(text, at: line - 1)
        return other
    }

    func replacing(_ stream: StreamName, _ line: Int, _ old: String, _ new: String) -> Recording {
        var other = self
        let text = other.lines[stream]![line - 1]
        precondition(text.contains(old), "line \(line) has no '\(old)': \(text)")
        other.lines[stream]![line - 1] = text.replacingOccurrences(of: old, with: new)
        return other
    }

    func moving(_ stream: StreamName, _ line: Int, before other: Int) -> Recording {
        let text = lines[stream]![line - 1]
        return removing(stream, line).inserting(stream, text, before: other < line ? other : other - 1)
    }

    func keeping(_ stream: StreamName, first count: Int) -> Recording {
        var other = self
        other.lines[stream] = Array(other.lines[stream]!.prefix(count))
        return other
    }
}

extension Judgement {
    /// Whether the rule broke at this line.
    func breaks(_ rule: Rule, at line: Int, of stream: StreamName) -> Bool {
        findings.contains { $0.rule == rule && $0.places.first == Place(stream: stream, line: line) }
    }
}

func captureTags() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: TestCorpus.path("qemu")).map { String($0.dropLast(".src.log".count)) }
}

func logPath(_ name: String) -> String { TestCorpus.path("qemu/\(name)") }
