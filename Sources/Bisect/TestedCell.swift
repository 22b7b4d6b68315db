/// The cell of a revision: the one that was asked for, or the nearest that the build can run.
///
/// A build takes the place of the source, of the destination or of both. A machine type that a build lacks is mapped to the newest one of
/// the same board that both sides have, in the mode of the one that was asked for if there is one. What was run is therefore known by the
/// machine type and the mode, too: the cell before and after the commit that brings per-device ACKs is not the same test.
import Matrix
import MigrationTrace
import Plan

/// The side that a build is.
package enum TestedSide: String, Codable, CaseIterable, Hashable, Sendable {
    case source, destination, both
}

/// The name of a cell with the tested side left open.
package struct CellPattern: Hashable, Sendable {
    package let side: TestedSide
    /// The names of the sides, as they were given, without the prefix of an engine.
    let sides: String
    /// The machine in the words of cell names: `q35-11.1`.
    let machine: String
    /// What follows the machine, `+2-devices+reinits-1`, or nothing.
    let rest: String

    /// The name of the build among the sides of a cell.
    package static let build = "build"

    package struct Malformed: Error, CustomStringConvertible {
        package let description: String
    }

    package init(_ name: String, side: TestedSide) throws(Malformed) {
        let shared = sharedCellName(name)
        let words = shared.split(separator: "+", maxSplits: 2, omittingEmptySubsequences: false).map(String.init)
        guard words.count >= 2, !words[1].isEmpty, words[0].contains("-") else {
            throw Malformed(description: "expected the whole name of a cell, SOURCE-DESTINATION+MACHINE+..., found '\(name)'")
        }
        self.side = side
        sides = words[0]
        machine = words[1]
        rest = words.count > 2 ? "+" + words[2] : ""
    }

    /// The name of the side that is not the build, out of these; nil where it is none of them, or where the build is both sides.
    package func other(among names: [String]) -> String? {
        let fitting =
            switch side {
            case .source: names.filter { sides.hasSuffix("-" + $0) }
            case .destination: names.filter { sides.hasPrefix($0 + "-") }
            case .both: [String]()
            }
        return fitting.max { $0.utf8.count < $1.utf8.count }
    }

    /// The cell's name as reports have it, whatever the build is.
    package func title(machine: String, other: String?) -> String {
        let other = other ?? Self.build
        return switch side {
        case .source: "\(Self.build)-\(other)+\(machine)\(rest)"
        case .destination: "\(other)-\(Self.build)+\(machine)\(rest)"
        case .both: "\(Self.build)-\(Self.build)+\(machine)\(rest)"
        }
    }

    fileprivate func name(machine: String, build: String, other: String) -> String {
        switch side {
        case .source: "\(build)-\(other)+\(machine)\(rest)"
        case .destination: "\(other)-\(build)+\(machine)\(rest)"
        case .both: "\(build)-\(build)+\(machine)\(rest)"
        }
    }
}

/// A cell in which a build takes part, and what it is called beside those of other revisions.
package struct TestedCell: Sendable {
    package let cell: Cell
    package let title: String
    /// The machine that was asked for, where the cell has another one.
    package let mappedFrom: String?

    package var mode: SwitchoverAckMode? { cell.mode }

    /// What tells this test from the same cell of another revision.
    package var identity: String { "\(title), " + (mode.map { "\($0.rawValue) mode" } ?? "no switchover-ack") }
}

extension CellPattern {
    /// The cell for this build. Throws `Unavailable` where it can run none like it. `other` is nil where the build is both sides.
    package func cell(of file: MatrixFile, build: ProbedBinary, other: ProbedBinary?) throws -> TestedCell {
        let partner = other ?? build
        let binaries = side == .both ? [build] : [build, partner]
        let otherTitle = other.map { sharedCellName($0.binary.name) }
        var skipped = SkippedCells()
        for machine in machines(build.features, partner.features) {
            let name = name(machine: machine, build: build.binary.name, other: partner.binary.name)
            let found = try Recipe.cell(named: name, of: file, binaries: binaries)
            if let cell = found.cell {
                return TestedCell(
                    cell: cell, title: title(machine: machine, other: otherTitle), mappedFrom: machine == self.machine ? nil : self.machine)
            }
            skipped.formUnion(found.skipped)
        }
        throw Unavailable(
            description: "the build has no cell like \(title(machine: machine, other: otherTitle))"
                + (skipped.reasons.first.map { ": \($0)" } ?? ", also with other machine types of its board"))
    }

    /// The machine that was asked for, then the others of its board that both sides have: those in the mode of the one that was asked for
    /// first, of these the newest.
    private func machines(_ build: ProbedFeatures, _ other: ProbedFeatures) -> [String] {
        guard let dash = machine.lastIndex(of: "-"), machineRelease("pc-" + machine) != nil else { return [machine] }
        let asked = SwitchoverAckMode.ruled(machine: "pc-" + machine)
        let board = "pc-\(machine[..<dash])-"
        let shared = build.machineTypes.filter { $0.hasPrefix(board) && machineRelease($0) != nil && other.machineTypes.contains($0) }
        func rank(_ type: String) -> Int { [build, other].allSatisfy { $0.mode(machine: type) == asked } ? 0 : 1 }
        let sorted = shared.sorted { one, two in
            guard rank(one) == rank(two) else { return rank(one) < rank(two) }
            return (machineRelease(two) ?? []).lexicographicallyPrecedes(machineRelease(one) ?? [])
        }
        return [machine] + sorted.map { String($0.dropFirst("pc-".count)) }.filter { $0 != machine }
    }
}
