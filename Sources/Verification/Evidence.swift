/// What a judgement rests on: the events of a log that a rule needs, and what of them was not there to be seen.
///
/// The harness traces every event of its own runs. A log of somebody else's may have been traced with fewer `-trace` patterns, and lines of
/// it may be lost. A rule that needs such an event or such a line is *not judged*, which is never the same as broken.
import MigrationTrace

/// An event whose lines a rule rests on.
package struct Evidence: Hashable, Sendable, ExpressibleByStringLiteral {
    /// The event's names, of which one must be in the log: some events have another name in another release.
    let names: [String]
    /// The stream that must have the event; nil: the stream in which the rule broke.
    let stream: StreamName?

    /// Names separated by `|`.
    init(_ names: String, in stream: StreamName? = nil) {
        self.names = names.split(separator: "|").map(String.init)
        self.stream = stream
    }

    package init(stringLiteral names: String) { self.init(names) }

    static func source(_ names: String) -> Evidence { Evidence(names, in: .source) }
    static func destination(_ names: String) -> Evidence { Evidence(names, in: .destination) }
}

/// What keeps a rule from being judged.
package struct Unjudged: Hashable, Sendable {
    package enum Cause: Hashable, Sendable {
        /// No event of this name is in the stream's log, although the migration has had it: it was not traced.
        case notTraced(StreamName, String)
        /// No event of this name is in the stream's log. If it was traced, it never happened, and the rules are broken.
        case notSeen(StreamName, String)
        /// Lines of the stream's log are missing behind this place.
        case linesMissing(Place)
        /// The stream's log has no final status.
        case notEnded(StreamName)
    }

    package let cause: Cause
    /// Ids of the rules that would have been judged.
    package var rules: [String]
}

extension Unjudged: Comparable {
    package static func < (a: Unjudged, b: Unjudged) -> Bool { a.sortKey < b.sortKey }

    private var sortKey: (Int, String, Int) {
        switch cause {
        case .notTraced(let stream, let name), .notSeen(let stream, let name): (StreamName.allCases.firstIndex(of: stream)!, name, 0)
        case .linesMissing(let place): (StreamName.allCases.firstIndex(of: place.stream)!, "~", place.line)
        case .notEnded(let stream): (StreamName.allCases.firstIndex(of: stream)!, "~~", 0)
        }
    }
}

extension [Unjudged] {
    /// Adds rules to those that a cause keeps from being judged; each cause is listed once.
    mutating func add(_ cause: Unjudged.Cause, _ rules: [String]) {
        let index =
            firstIndex { $0.cause == cause }
            ?? {
                append(Unjudged(cause: cause, rules: []))
                return endIndex - 1
            }()
        for rule in rules where !self[index].rules.contains(rule) { self[index].rules.append(rule) }
    }

    /// Lists an event once that is known to be not traced.
    mutating func joinCauses() {
        for unjudged in self {
            guard case .notSeen(let stream, let name) = unjudged.cause, contains(where: { $0.cause == .notTraced(stream, name) }) else {
                continue
            }
            add(.notTraced(stream, name), unjudged.rules)
            removeAll { $0.cause == unjudged.cause }
        }
    }
}
