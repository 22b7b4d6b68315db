/// The cells that a command line names.
import ArgumentParser
import EnginePeer
import Matrix
import MigrationTrace
import Plan

struct CellSelection {
    /// Names of cells, or texts that names contain; at least one.
    let texts: [String]
    /// The highest tier of the cells; nil: any that their sides have.
    var tier: Tier?
    /// What gave the texts, for messages.
    var label = "--cell"

    /// Those that have such a name, in the order of the texts, then those whose names contain such a text; and what cannot be shown with
    /// these binaries. Throws `ValidationError` where a text stands for no cell, also beside one that does.
    func cells(of file: MatrixFile, _ binaries: [ProbedBinary]) throws -> Recipe.Made {
        var chosen = Recipe.Made()
        var parts: [String] = []
        for text in texts {
            guard !text.isEmpty else {
                throw ValidationError("\(label): expected the name of a cell or a part of one, found an empty text")
            }
            let found = try Recipe.cell(named: text, of: file, upTo: tier, binaries: binaries)
            if let cell = found.cell {
                if !chosen.cells.contains(where: { $0.name == text }) { chosen.cells.append(cell) }
            } else if let reason = found.skipped.reasons.first {
                throw ValidationError("\(label): \(shown(text)) cannot be made here: \(reason)")
            } else {
                parts.append(text)
            }
        }
        guard !parts.isEmpty else { return chosen }
        let (made, names) = try cells(containing: parts, of: file, binaries, except: Set(chosen.cells.map(\.name)))
        chosen.cells += made.cells
        chosen.skipped.formUnion(made.skipped)
        for part in parts where !chosen.cells.contains(where: { $0.name.contains(part) }) {
            try refuse(part, file, binaries, names: names, skipped: made.skipped)
        }
        return chosen
    }

    /// The cells whose names contain one of the texts, and the names of all cells that were looked at.
    private func cells(
        containing texts: [String], of file: MatrixFile, _ binaries: [ProbedBinary], except known: Set<String>
    ) throws -> (made: Recipe.Made, names: [String]) {
        var names: [String] = []
        var all = Recipe.Made()
        for kind in SideKind.allCases {
            // A cell that is asked for by name may be of any tier that its sides have.
            let widest = min(tier ?? kind.widestTier, kind.widestTier)
            let made = try Recipe.cells(of: file, tier: widest, binaries: binaries.filter { $0.binary.kind == kind }) { name in
                names.append(name)
                return !known.contains(name) && texts.contains { name.contains($0) }
            }
            all.cells += made.cells
            all.skipped.formUnion(made.skipped)
        }
        return (all, names)
    }

    /// Throws why no cell has the text in its name.
    private func refuse(
        _ text: String, _ file: MatrixFile, _ binaries: [ProbedBinary], names: [String], skipped: SkippedCells
    ) throws -> Never {
        if names.contains(where: { $0.contains(text) }), let reason = skipped.reasons.first {
            throw ValidationError("\(label): the cells whose names contain \(shown(text)) cannot be made here: \(reason)")
        }
        try refuseHigherTier(text, file, binaries)
        try refuseEnginesAlone(text, file, binaries)
        let nearest = nearestNames(to: text, among: names, count: 3)
        let hint = nearest.isEmpty ? "" : "; the nearest names are \(nearest.joined(separator: ", "))"
        let part = label == "--cell" ? "" : ": expected the name of a cell, or a part of one"
        throw ValidationError("\(label): no cell's name contains \(shown(text))\(part)\(hint); see: ackmatrix list --tier full")
    }

    /// Says of cells that only a higher tier has, which tier that is.
    private func refuseHigherTier(_ text: String, _ file: MatrixFile, _ binaries: [ProbedBinary]) throws {
        guard let tier else { return }
        for higher in Tier.allCases where higher > tier {
            let found = try Recipe.cells(of: file, tier: higher, binaries: binaries) { $0.contains(text) }.cells
            guard let cell = found.first(where: { $0.kind == .engine || higher < .engine }) else { continue }
            throw ValidationError(
                "\(label): no cell of tier \(tier.rawValue) has \(shown(text)) in its name; tier \(higher.rawValue) has \(cell.name): "
                    + "use --tier \(higher.rawValue), or leave --tier out")
        }
    }

    /// Says of cells that the engine has, and that were asked for without it, why no binary here has them.
    private func refuseEnginesAlone(_ text: String, _ file: MatrixFile, _ binaries: [ProbedBinary]) throws {
        guard !binaries.contains(where: { $0.binary.kind == .engine }) else { return }
        let engines = try Recipe.cells(of: file, tier: .engine, binaries: ProbedBinary.engines) { name in
            sharedCellName(name).contains(text)
        }
        guard let own = engines.cells.first else { return }
        if let reason = own.engineAlone {
            throw ValidationError("\(label): only the engine has such a cell, as \(own.name): \(reason)")
        }
        let isOfLowerTier = try !Recipe.cells(of: file, tier: .full, binaries: ProbedBinary.engines) { $0 == own.name }.cells.isEmpty
        guard isOfLowerTier else {
            throw ValidationError(
                "\(label): only the engine has such a cell, as \(own.name): its tier is that of the engine; add --sides engine")
        }
        let skipped = try Recipe.cells(of: own.selection, product: own.product, binaries: binaries).skipped.reasons.first
        let reason = skipped.map { " (\($0))" } ?? ""
        throw ValidationError("\(label): no available binary has such a cell\(reason); the engine has \(own.name): use --sides engine")
    }
}

/// A text of the command line in a message: quoted, and not longer than a line.
private func shown(_ text: String) -> String { "'\(escaped(String(text.prefix(100))))\(text.count > 100 ? "…" : "")'" }
