/// Which logs belong together: the migrations of a source and of a destination are matched by what they have in common.
///
/// What both sides must agree on is compared, never the order of lines or, alone, the clocks of two hosts: the idstr of each section, the
/// value of SHUT, and the number of sections.
import MigrationTrace

struct LogMatching {
    /// Pairs of migrations, and those that have no counterpart, in the order of the logs.
    var pairs: [(source: Int?, destination: Int?)] = []
    /// Why migrations do not fit, in words, if none do.
    var misfit: String?

    init(_ sources: [LoggedMigration], _ destinations: [LoggedMigration]) {
        var free = Set(destinations.indices)
        var found: [Int: Int] = [:]
        for source in sources.indices.reversed() {
            let fitting = free.filter { Self.misfit(sources[source], destinations[$0]) == nil }
            let best = fitting.max { a, b in
                let (first, second) = (
                    Self.likeness(sources[source], destinations[a]), Self.likeness(sources[source], destinations[b])
                )
                return first == second ? a < b : first < second
            }
            guard let best else {
                if let destination = destinations.indices.last {
                    misfit = misfit ?? Self.misfit(sources[source], destinations[destination])
                }
                continue
            }
            // A later migration of the destination belongs to a later one of the source.
            free = free.filter { $0 < best }
            found[source] = best
        }
        if !found.isEmpty { misfit = nil }
        let matched = Set(found.values)
        pairs =
            destinations.indices.filter { !matched.contains($0) }.map { (nil, $0) }
            + sources.indices.map { ($0, found[$0]) }
    }

    /// How much speaks for the two being one migration: equal counts, and times that overlap.
    private static func likeness(_ source: LoggedMigration, _ destination: LoggedMigration) -> Int {
        var likeness =
            source.source.side.progress.sections > 0 && source.source.side.progress.sections == destination.destination.sections.count
            ? 4 : 0
        if let a = source.times, let b = destination.times, a.overlaps(b) { likeness += 2 }
        if source.source.side.ledger.acks == destination.destination.sent { likeness += 1 }
        if (source.source.side.status.final == .completed) == (destination.destination.status.final == .completed) { likeness += 1 }
        return likeness
    }

    /// Why the two cannot be one migration, in words; nil if they can.
    static func misfit(_ source: LoggedMigration, _ destination: LoggedMigration) -> String? {
        if source.log == destination.log, source.lines.overlaps(destination.lines) || source.start != nil {
            return "a process does not migrate to itself"
        }
        let others = destination.destination.sections.ids.idstrs.filter { section, idstr in
            source.source.side.sections[section].map { $0 != idstr } ?? false
        }
        if let (section, idstr) = others.min(by: { $0.key < $1.key }), let sent = source.source.side.sections[section] {
            return "section \(section) is \(sent) at the source and \(idstr) at the destination: they are logs of different guests"
        }
        if let shut = source.source.side.shut, shut.value == 0, let final = destination.destination.status.final, final != .completed {
            return
                "the source received SHUT 0 (\(shut.place)), which only a destination sends that has loaded everything, but this "
                + "destination is \(final.rawValue)"
        }
        guard let a = source.times, let b = destination.times, !a.overlaps(b), source.source.side.status.final == .completed,
            destination.destination.status.final == .completed, source.source.side.progress.sections > 0,
            destination.destination.sections.count > 0,
            source.source.side.progress.sections != destination.destination.sections.count
        else { return nil }
        let (later, earlier) = a.lowerBound > b.upperBound ? ("source", "destination") : ("destination", "source")
        return
            "the source wrote \(source.source.side.progress.sections) PART and END sections and the destination read "
            + "\(destination.destination.sections.count), and the \(later)'s migration begins after the "
            + "\(earlier)'s has ended: they are logs of different migrations"
    }
}
