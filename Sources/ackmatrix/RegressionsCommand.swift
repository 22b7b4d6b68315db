/// `ackmatrix regressions`: what changed from one run to another.
import ArgumentParser
import Foundation
import History
import Matrix
import Plan
import Running

struct RegressionsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "regressions", abstract: "Show what changed from one run to another: failures, fixes, and handshakes.",
        discussion: """
            BEFORE and AFTER are folders of runs, or places, which stand for their newest runs; with --history they are ids of filed runs, \
            or beginnings of these. Cells of the same name are compared: which of them fail now, which are fixed, and whose handshake \
            changed although both runs passed. The handshake is the ending of each leg, whether the ACK was gating, and the counts that \
            the closed form predicts; what depends on timing, and races, are not compared.

            Cells are named after their sides. --rename 10.0=11.1 takes the side 10.0 of BEFORE for the side 11.1 of AFTER, and machine \
            types that are named after the one for those that are named after the other. Where the runs share no cell and each has one \
            side, that is done without the option.

            Example:
              ackmatrix run --cell 10.0-10.0+ --tier default --results old
              ackmatrix run --cell 11.1-11.1+ --tier default --results new
              ackmatrix regressions old new

            Exit status: 0 no cell fails that passed before, 1 at least one does, 2 wrong usage, or nothing to compare.
            """)

    @Option(help: ArgumentHelp("Take the runs from this history.", valueName: "FILE"))
    var history: String?

    @Option(help: ArgumentHelp("Take a side of BEFORE for a side of AFTER; may repeat.", valueName: "OLD=NEW"))
    var rename: [String] = []

    @Flag(help: "Name every cell of each change, not only the first three.")
    var verbose = false

    @Argument(help: ArgumentHelp("The run to compare with.", valueName: "BEFORE")) var before: String
    @Argument(help: ArgumentHelp("The run that is compared.", valueName: "AFTER")) var after: String

    func run() throws {
        let (before, after) = try (outcomes(before), outcomes(after))
        let given = try renames()
        let renamed = given.isEmpty ? Regressions.renamed(from: before, to: after) : given
        if let unknown = given.keys.sorted().first(where: { name in !before.sides.contains { $0.name == name } }) {
            throw ValidationError("--rename: expected a side of \(before.label), found '\(unknown)'; it has \(before.sidesInWords)")
        }
        let found = Regressions(from: before, to: after, renamed: renamed)
        say("before: \(before.label): \(counted(before.cells.count, "cell")), \(before.sidesInWords)")
        say("after: \(after.label): \(counted(after.cells.count, "cell")), \(after.sidesInWords)")
        for (old, new) in renamed.sorted(by: { $0.key < $1.key }) { say("\(old) of the first is compared with \(new) of the second") }
        guard found.compared > 0 else {
            throw Environment("nothing was compared: the runs have no cell in common; --rename OLD=NEW takes a side for another one")
        }
        list("new failure", found.newFailures)
        list("fixed", found.fixed)
        list("still failing", found.stillFailing)
        list("changed, both passed", found.changed)
        say(
            "\(counted(found.compared, "cell")) compared: \(counted(found.newFailures.count, "new failure")), \(found.fixed.count) fixed, "
                + "\(found.stillFailing.count) still failing, \(found.changed.count) with another handshake although both passed; "
                + "\(found.onlyBefore.count) only before, \(found.onlyAfter.count) only after")
        if !found.newFailures.isEmpty {
            throw Finding(description: "\(counted(found.newFailures.count, "cell")) of \(found.compared) failed that passed before")
        }
    }

    private func outcomes(_ run: String) throws -> RunOutcomes {
        if let history { return try History(path: history, creates: false).outcomes(ofRun: run) }
        return try RunOutcomes(ofRunIn: ResultPlace.run(at: URL(fileURLWithPath: run).path))
    }

    private func renames() throws -> [String: String] {
        var names: [String: String] = [:]
        for text in rename {
            let parts = text.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 2, parts.allSatisfy({ !$0.isEmpty }), names.updateValue(parts[1], forKey: parts[0]) == nil else {
                throw ValidationError("--rename: expected OLD=NEW, each OLD once, found '\(text)'")
            }
        }
        return names
    }

    /// Prints what changed, cells with the same change together.
    private func list(_ title: String, _ changes: [Regressions.Change]) {
        for (what, cells) in Regressions.groups(changes) {
            say("\(title): \(counted(cells.count, "cell")): \(what)")
            let shown = verbose ? cells[...] : cells.prefix(3)
            for cell in shown { say("    \(cell)") }
            if cells.count > shown.count { say("    and \(cells.count - shown.count) more") }
        }
    }
}
