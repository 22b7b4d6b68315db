/// Reports the rules that one stream breaks.
///
/// Every check of a stream is handed the stream's reporter, which knows the event that is being handled and the one before it. A check
/// says only which rule is broken, what it found, and what would have been legal.
import MigrationTrace

/// A finding that may hold only with what another stream tells later.
struct Breach: Sendable {
    enum Condition: Sendable {
        case always
        /// Only in a migration with switchover-ack on.
        case capabilityOn
        /// Only where switchover-ack is known to be off on this side.
        case capabilityOff
    }

    var finding: Finding
    var condition = Condition.always
}

struct RuleReporter: Sendable {
    /// Findings of one rule that are kept: of a rule that is broken again and again the first places say it all.
    static let mostOfARule = 8

    /// In the order of the stream.
    private(set) var breaches: [Breach] = []
    /// By rule: findings beyond `mostOfARule`, which are counted only.
    private(set) var omitted: [Rule: Int] = [:]
    /// Rules that would be broken if no line were missing in the stretch that shows it, each with the place of the gap.
    private(set) var heldBack: [Rule: Place] = [:]
    /// The last event before the latest missing lines.
    private var gap: Place?
    private var hasEvent = false
    /// The event that is being handled, or the last one that was, once there was one.
    private(set) var spot = Spot(place: Place(stream: .source, line: 0))

    /// The event that is being handled, or the last one that was; nil before the first.
    var last: Spot? { hasEvent ? spot : nil }

    /// Goes on to the stream's next event.
    mutating func advance(to event: Event, at place: Place) {
        if hasEvent {
            swap(&spot.before, &spot.event)
            spot.beforeLine = spot.place.line
        }
        hasEvent = true
        spot.event = event
        spot.place = place
    }

    /// Goes on to a last line that is cut: the event before it stays the last one that is known.
    mutating func advance(toCutLineAt place: Place) {
        hasEvent = true
        spot.place = place
    }

    /// Adds a finding: the rule is broken at `spot`, by default at the event that is being handled, and conflicts with `others`. If lines
    /// are missing between these places, the rule is held back: the missing lines may keep it. `evidence`: what this breach rests on, if
    /// that is not all that the rule does.
    mutating func report(
        _ rule: Rule, device: String? = nil, at spot: Spot? = nil, with others: [Place?] = [], when condition: Breach.Condition = .always,
        found: String, legal: String, on evidence: [Evidence]? = nil
    ) {
        let spot = spot ?? self.spot
        let places = [spot.place] + others.compactMap { $0 }
        let first = places.lazy.map(\.line).min() ?? 0
        if let gap, first <= gap.line {
            heldBack[rule] = gap
            return
        }
        guard breaches.count(where: { $0.finding.rule == rule }) < Self.mostOfARule else {
            omitted[rule, default: 0] += 1
            return
        }
        var finding = Finding(rule: rule, device: device, found: found, places: places, lastGood: spot.lastGood, legal: legal)
        finding.evidence = evidence ?? rule.evidence
        breaches.append(Breach(finding: finding, condition: condition))
    }

    func hasReported(_ rule: Rule) -> Bool { breaches.contains { $0.finding.rule == rule } }

    /// Lines are missing behind the last event.
    mutating func lose() { gap = hasEvent ? spot.place : nil }

    /// Forgets what was reported so far: another migration, or another process, begins.
    mutating func forget() {
        breaches = []
        omitted = [:]
        heldBack = [:]
        gap = nil
    }
}
