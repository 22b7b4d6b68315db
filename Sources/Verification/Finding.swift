/// What was found, where, and what would have been legal.
import MigrationTrace

/// A line of a log, or an entry of a trace's stream; both count from 1.
package struct Place: Hashable, Sendable, CustomStringConvertible {
    package var stream: StreamName
    package var line: Int

    package init(stream: StreamName, line: Int) {
        self.stream = stream
        self.line = line
    }

    package var description: String { "\(stream.rawValue):\(line)" }
}

/// A broken rule, and the lines that show that it is broken.
package struct Finding: Hashable, Sendable {
    /// The last event before the rule was broken.
    package struct GoodEvent: Hashable, Sendable {
        /// As QEMU prints it.
        package var event: String
        package var place: Place

        package init(event: String, place: Place) {
            self.event = event
            self.place = place
        }
    }

    package var rule: Rule
    /// The device's section idstr where it is known, else QEMU's name for it.
    package var device: String?
    /// What was found, in one sentence.
    package var found: String
    /// The line that breaks the rule, then the lines that it conflicts with, of both sides if both are involved.
    package var places: [Place]
    package var lastGood: GoodEvent?
    /// What would have been legal there.
    package var legal: String
    /// The events without whose lines this is no finding.
    var evidence: [Evidence]

    package init(rule: Rule, device: String? = nil, found: String, places: [Place], lastGood: GoodEvent? = nil, legal: String) {
        self.rule = rule
        self.device = device
        self.found = found
        self.places = places
        self.lastGood = lastGood
        self.legal = legal
        evidence = rule.evidence
    }
}

/// The place of an event, and the event before it in the same stream.
struct Spot: Hashable, Sendable {
    var place: Place
    /// nil: the line is cut, and its event is not known.
    var event: Event?
    var before: Event?
    var beforeLine = 0

    /// The event before this one, as the last good one.
    var lastGood: Finding.GoodEvent? {
        before.map { .init(event: $0.line, place: Place(stream: place.stream, line: beforeLine)) }
    }

    /// This event itself, as the last good one.
    var asLastGood: Finding.GoodEvent? { event.map { .init(event: $0.line, place: place) } }
}

/// `1 ACK`, `2 ACKs`.
func count(_ number: Int, _ thing: String) -> String { "\(number) \(thing)\(number == 1 ? "" : "s")" }
