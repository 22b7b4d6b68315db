/// An entry of harness/matrix/differences.yaml: what two runs of one cell may do differently, where, under which condition, and why.
///
/// An entry is data. `DifferenceMatching` evaluates every entry in the same way, and nothing else excuses a difference.

import Matrix
import Verification

package struct ListedDifference: Hashable, Sendable {
    /// What an entry says of the difference that it excuses.
    package enum Kind: String, Hashable, Sendable {
        /// Two runs of the same QEMU binary may differ in this way, too.
        case chance
        /// The engine is known to differ from QEMU in this way.
        case difference
    }

    package let kind: Kind
    package let id: String
    package let scope: Scope
    package let pattern: DifferencePattern
    /// The reason why the entry may excuse nothing in a comparison of all cells; nil: an entry that excuses nothing is a finding.
    package let sometimes: String?
    /// Why the two runs may differ, for a reader who knows QEMU.
    package let reason: String
    /// Where the difference was reported; nil for what is no defect.
    package let reference: String?
}

extension ListedDifference {
    /// The legs of cells that an entry is about.
    package struct Scope: Hashable, Sendable {
        /// Any of these values, on every axis named.
        package var cells: [String: [String]] = [:]
        /// Patterns of the names of QEMU's cells, any of which must match; `*` stands for any characters. Empty: every name.
        package var names: [String] = []
        /// Exact versions of QEMU, as its monitor reports them; nil: every version.
        package var sourceVersions: [String]?
        package var destinationVersions: [String]?
        /// Numbers of legs, from 1. Empty: every leg.
        package var legs: Set<Int> = []
        /// Counts that the prediction leaves open, all of them.
        package var open: Set<String> = []
        /// The prediction has several ways for the leg to go.
        package var isRace = false
        /// Patterns of steps, any of which must be among the steps of one of the two runs. Empty: whatever they did.
        package var seen: [String] = []

        /// True if the entry is about this leg of QEMU's cell, as far as that is decided before it runs. `leg` counts from 0.
        func concerns(_ cell: Cell, leg: Int) -> Bool {
            let forecast = cell.forecasts[leg]
            return isAbout(cell) && (legs.isEmpty || legs.contains(leg + 1)) && open.isDisjoint(with: forecast.comparedCounts)
                && (!isRace || forecast.outcomes.count > 1)
        }

        private func isAbout(_ cell: Cell) -> Bool {
            cells.allSatisfy { $0.value.contains(cell.selection[$0.key]) } && (names.isEmpty || names.contains { matches(cell.name, $0) })
                && (sourceVersions?.contains { isVersion($0, of: cell.sourceVersion) } ?? true)
                && (destinationVersions?.contains { isVersion($0, of: cell.destinationVersion) } ?? true)
        }
    }

    /// True if the entry is about a leg of QEMU's cell.
    package func concerns(_ cell: Cell) -> Bool { cell.forecasts.indices.contains { scope.concerns(cell, leg: $0) } }
}

/// What may differ.
package struct DifferencePattern: Hashable, Sendable {
    /// How the steps that match may differ.
    package enum Steps: Hashable, Sendable {
        /// Steps may be missing, additional, different, or in another order.
        case any
        /// One of the two runs goes on with further steps of the kinds that both have.
        case more
        /// The texts that match say the same.
        case alike
    }

    /// Threads of the two sides. Empty: every thread.
    package var threads: [ThreadPattern] = []
    /// Names of trace events. Empty: every event.
    package var events: Set<String> = []
    /// Patterns of the texts of steps, any of which must match; `*` stands for any characters. Empty: every text.
    package var texts: [String] = []
    /// nil: the entry is about no step.
    package var steps: Steps?
    /// Names of counts; `ending` and `extent` are the end of the cell and the number of its legs.
    package var counts: Set<String> = []
    /// Identifiers of rules that only one of the two runs breaks.
    package var rules: Set<String> = []

    func matches(_ thread: ProtocolThread) -> Bool { steps != nil && (threads.isEmpty || threads.contains { $0.matches(thread) }) }

    func matches(_ step: ProtocolStep) -> Bool {
        (events.isEmpty || events.contains(step.event)) && (texts.isEmpty || texts.contains { Running.matches(step.text, $0) })
    }

    /// True if this is an excused difference in ending, counts, rules or extent. Steps are compared without those that match instead.
    func matches(_ difference: Difference) -> Bool {
        switch difference {
        case .ending: counts.contains("ending")
        case .count(let name, _, _): counts.contains(name)
        case .rules(let one, let other): rules.isSuperset(of: one + other)
        case .extent: counts.contains("extent")
        case .order: false
        }
    }
}

/// A side, or one kind of thread of a side.
package struct ThreadPattern: Hashable, Sendable {
    /// Kinds of threads, as the list writes them.
    package enum Kind: String, CaseIterable, Hashable, Sendable {
        case main, migration
        case returnPath = "return-path"
        case listen, iteration, channel, messages, statuses, errors
        case end = "return-path-end"
        case device

        init(_ role: ProtocolThread.Role) {
            self =
                switch role {
                case .main: .main
                case .migration: .migration
                case .returnPath: .returnPath
                case .listen: .listen
                case .iteration: .iteration
                case .multifd: .channel
                case .messages: .messages
                case .statuses: .statuses
                case .errors: .errors
                case .join: .end
                case .device: .device
                }
        }
    }

    package let isSource: Bool
    /// nil: every thread of the side.
    package let kind: Kind?

    func matches(_ thread: ProtocolThread) -> Bool { thread.isSource == isSource && kind.map { $0 == Kind(thread.role) } ?? true }
}

extension ThreadPattern {
    /// `source`, `destination`, or one of them and a kind: `source return-path`.
    init?(_ text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard let side = words.first, ["source", "destination"].contains(side), words.count <= 2 else { return nil }
        isSource = side == "source"
        guard words.count == 2 else {
            kind = nil
            return
        }
        guard let named = Kind(rawValue: words[1]) else { return nil }
        kind = named
    }

    static var vocabulary: String { "source or destination, alone or with one of " + Kind.allCases.map(\.rawValue).joined(separator: ", ") }
}
