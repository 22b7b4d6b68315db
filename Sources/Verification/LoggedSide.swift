/// What both sides of a migration keep of their log: the guest, the devices and the status that it shows, and where lines are missing.
import MigrationTrace

protocol LoggedSide: Sendable {
    init(_ circumstances: Circumstances)

    var circumstances: Circumstances { get }
    var arcs: DeviceArcs { get set }
    var status: StatusArcs { get set }
    var guest: GuestAccount { get set }
    var reporter: RuleReporter { get set }
    var hasBegun: Bool { get set }
    var hasGaps: Bool { get set }
    /// True if the log ends within a line.
    var isCut: Bool { get set }

    /// Lines are missing here, and the migration has no final status yet: what needs each line begins anew.
    mutating func loseLedgers(isDeclared: Bool)
}

extension LoggedSide {
    /// A migration begins: what the guest and the devices were before stays. What a process did before its first migration belongs to that
    /// migration.
    mutating func beginMigration() {
        var next = Self(circumstances)
        next.guest = guest
        next.guest.begin()
        next.arcs = arcs
        next.arcs.begin()
        next.reporter = reporter
        if hasBegun { next.reporter.forget() }
        next.hasBegun = true
        self = next
    }

    /// The beginning of the migration is missing: what was seen before is no more than that.
    mutating func loseBeginning() {
        reporter.forget()
        lose()
    }

    /// Lines are missing here. What follows the final status is no part of the migration.
    /// `isDeclared`: somebody left out lines of rounds that repeat, and says so; else anything may be missing.
    mutating func lose(isDeclared: Bool = false) {
        if !isDeclared {
            reporter.lose()
            guest.lose()
        }
        arcs.lose(isDeclared: isDeclared)
        if status.final == nil {
            hasGaps = true
            loseLedgers(isDeclared: isDeclared)
        }
        status.lose()
    }

    /// The last line of the log is cut.
    mutating func cut(at place: Place) {
        isCut = true
        reporter.advance(toCutLineAt: place)
    }

    /// Another process writes the log from here on.
    mutating func restart() {
        if !hasBegun { reporter.forget() }
        guest.restart()
        arcs.restart()
    }
}
