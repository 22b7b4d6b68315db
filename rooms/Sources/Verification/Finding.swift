/// What was found, where, and what would have been right.
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

/// A rule that broke, and the lines that show it.
package struct Finding: Hashable, Sendable {
    /// The last event before the break that was as it should be.
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
    /// Where it broke, then the lines it is in conflict with; of both sides where both are involved.
    package var places: [Place]
    package var lastGood: GoodEvent?
    /// What would have been legal there.
    package var legal: String

    package init(rule: Rule, device: String? = nil, found: String, places: [Place], lastGood: GoodEvent? = nil, legal: String) {
        self.rule = rule
        self.device = device
        self.found = found
        self.places = places
        self.lastGood = lastGood
        self.legal = legal
    }
}

/// Where an event stands, and what stood before it in the same stream.
struct Spot: Hashable, Sendable {
    var place: Place
    var event: Event
    var before: Event?
    var beforeLine = 0

    var lastGood: Finding.GoodEvent? {
        before.map { .init(event: $0.line, place: Place(stream: place.stream, line: beforeLine)) }
    }
}

/// A finding that holds only with what may be known later, of another stream.
struct Breach: Sendable {
    enum Condition: Sendable {
        case always
        case capabilityOn
        case capabilityOff
    }

    var finding: Finding
    var condition = Condition.always
}

/// What was found in one stream, in its order. Bounded: of a rule that keeps breaking the first places say it all.
struct Breaches: Sendable {
    static let mostOfARule = 8

    private(set) var all: [Breach] = []

    mutating func report(
        _ rule: Rule, device: String? = nil, at spot: Spot, with others: [Place?] = [], when condition: Breach.Condition = .always,
        found: String, legal: String
    ) {
        guard all.count(where: { $0.finding.rule == rule }) < Self.mostOfARule else { return }
        let finding = Finding(
            rule: rule, device: device, found: found, places: [spot.place] + others.compactMap { $0 }, lastGood: spot.lastGood, legal: legal
        )
        all.append(Breach(finding: finding, condition: condition))
    }
}

/// `1 ACK`, `2 ACKs`.
func count(_ number: Int, _ thing: String) -> String { "\(number) \(thing)\(number == 1 ? "" : "s")" }
