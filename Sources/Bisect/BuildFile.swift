/// The file that a build leaves behind: the QEMU that it made, or the description of a stand-in.
///
/// A stand-in is a small text file: the first line is `ackmatrix-build 1`, each further line a word and its value. It names a released QEMU
/// (`qemu 10.0`), with further arguments one a line (`argument -global`), or the engine of a generation (`engine 11.1`) with something
/// wrong (`mutant ack-not-sent`), in each run or at random in so many of a hundred (`chance 30`). With stand-ins a bisection can be tried
/// out, and the builds that a list names need not be files of their own.
import Plan

package struct BuildFile: Hashable, Sendable {
    package enum Side: Hashable, Sendable {
        /// The fetched or added QEMU of this name, started with these further arguments.
        case qemu(name: String, arguments: [String])
        /// The engine of a generation, with these mutants, which show in so many runs of a hundred.
        case engine(generation: String, mutants: [String], chance: Int)
    }

    package let side: Side

    /// What the first line of a description is.
    package static let head = "ackmatrix-build 1"
    /// Bytes of the largest description.
    package static let largest = 64 << 10
    private static let mostLines = 256

    package struct Malformed: Error, Hashable, Sendable, CustomStringConvertible {
        /// From 1.
        package let line: Int
        package let reason: String
        package var description: String { "line \(line): \(reason)" }
    }

    /// True if a file that begins with these bytes is to be a description.
    package static func isDescription(_ beginning: some Collection<UInt8>) -> Bool {
        beginning.starts(with: Array("ackmatrix-build ".utf8))
    }

    package init(_ text: String) throws(Malformed) {
        guard text.utf8.count <= Self.largest else {
            throw Malformed(line: 1, reason: "expected at most \(Self.largest) bytes, found \(text.utf8.count)")
        }
        let lines = text.split(separator: "\n", maxSplits: Self.mostLines, omittingEmptySubsequences: false).map(String.init)
        guard lines[0] == Self.head else {
            throw Malformed(line: 1, reason: "expected '\(Self.head)', found '\(lines[0].prefix(80))'")
        }
        guard lines.count <= Self.mostLines else { throw Malformed(line: lines.count, reason: "expected at most \(Self.mostLines) lines") }
        var draft = Draft()
        for (index, line) in lines.enumerated().dropFirst() where !line.isEmpty && !line.hasPrefix("#") {
            let words = line.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            guard words.count == 2, !words[1].isEmpty else {
                throw Malformed(line: index + 1, reason: "expected a word and its value, found '\(line.prefix(80))'")
            }
            try draft.take(words[0], words[1], line: index + 1)
        }
        side = try draft.side(line: lines.count)
    }

    /// The lines that were read so far.
    private struct Draft {
        var qemu: String?
        var arguments: [String] = []
        var engine: String?
        var mutants: [String] = []
        var chance: Int?

        mutating func take(_ word: String, _ value: String, line: Int) throws(Malformed) {
            func once(_ known: Bool) throws(Malformed) {
                if known { throw Malformed(line: line, reason: "expected '\(word)' once, found it twice") }
            }
            switch word {
            case "qemu":
                try once(qemu != nil)
                qemu = value
            case "engine":
                try once(engine != nil)
                engine = value
            case "argument": arguments.append(value)
            case "mutant": mutants.append(value)
            case "chance":
                try once(chance != nil)
                guard let number = Int(value), 1...100 ~= number else {
                    throw Malformed(line: line, reason: "expected a chance of 1 to 100 in a hundred, found '\(value.prefix(40))'")
                }
                chance = number
            default:
                throw Malformed(
                    line: line, reason: "expected qemu, argument, engine, mutant or chance, found '\(word.prefix(40))'")
            }
        }

        func side(line: Int) throws(Malformed) -> Side {
            switch (qemu, engine) {
            case (let name?, nil):
                guard mutants.isEmpty, chance == nil else {
                    throw Malformed(line: line, reason: "expected an engine beside 'mutant' and 'chance', found a qemu")
                }
                return .qemu(name: name, arguments: arguments)
            case (nil, let generation?):
                guard arguments.isEmpty else {
                    throw Malformed(line: line, reason: "expected a qemu beside 'argument', found an engine, which has no command line")
                }
                guard chance == nil || !mutants.isEmpty else {
                    throw Malformed(line: line, reason: "expected a mutant beside 'chance', found none")
                }
                return .engine(generation: generation, mutants: mutants, chance: chance ?? 100)
            case (.some, .some): throw Malformed(line: line, reason: "expected one of qemu and engine, found both")
            case (nil, nil): throw Malformed(line: line, reason: "expected a line 'qemu NAME' or 'engine GENERATION', found neither")
            }
        }
    }
}
