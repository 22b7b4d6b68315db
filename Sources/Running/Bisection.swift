/// What a run tells `git bisect run` about a build: good, bad, or nothing.
///
/// A verdict counts only if the cell was run as it was asked for. A build that cannot run a cell, that runs it in another mode, or that
/// leaves its end open, is neither good nor bad.
import Matrix
import MigrationTrace
import Plan
import Prediction
import Verification

package struct Bisection: Sendable {
    package enum Verdict: Hashable, Sendable {
        case good, bad
        /// With the reason.
        case cannotTell(String)
    }

    private var findings = 0
    /// Why the first result that tells nothing tells nothing.
    private var silent: String?

    package init() {}

    package mutating func add(_ line: ResultLine) {
        if let reason = line.tellsNothing {
            silent = silent ?? "\(line.cell): \(reason)"
        } else if line.finding {
            findings += 1
        }
    }

    /// `wholeRunFindings` is the number of findings that belong to no cell.
    package func verdict(wholeRunFindings: Int) -> Verdict {
        if findings > 0 || wholeRunFindings > 0 { return .bad }
        return silent.map { .cannotTell($0) } ?? .good
    }
}

extension ResultLine {
    /// Why the result tells nothing of the build; nil if it does. What is as predicted always does.
    package var tellsNothing: String? {
        guard finding else { return nil }
        let mode = legs.flatMap(\.differences).first { $0.hasPrefix(Comparison.modeDiffers) }
        if let mode { return mode }
        let isOpen = [CellResult.brokenEnding, Verdict.undecided.rawValue].contains(ending)
        let isRefused = ending == Prediction.Ending.refused.rawValue && !last.predicted.endings.contains(ending)
        return isOpen || isRefused ? ending + (last.reason.map { ": \($0)" } ?? "") : nil
    }
}

extension Cell {
    /// Where a side does not run in the mode that the cell's machine type stands for: that mode, and the one that the side runs in. nil:
    /// each side runs as asked. A development build may have a machine type before it has the mode that belongs to it.
    package func modeNotAsAsked(_ binaries: [ProbedBinary]) -> String? {
        for side in plan.sides {
            guard side.legacyProperty == nil, let features = binaries.first(where: { $0.binary == side.binary })?.features else { continue }
            let asked = SwitchoverAckMode.ruled(machine: String(side.machine.prefix { $0 != "," }))
            let found = features.mode(machine: side.machine)
            guard found != asked else { continue }
            return "\(side.binary.name) with \(side.machine): expected \(asked.rawValue) mode as in the newest release, found "
                + (found.map { "\($0.rawValue) mode" } ?? "no switchover-ack")
        }
        return nil
    }
}
