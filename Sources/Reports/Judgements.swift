/// The text of a judgement: the account of its handshake, and its broken rules.
import Matrix
import Verification

/// The account of a handshake in lines: the requests, the approvals, the ACKs, and the decision with what it waited for.
package func handshakeLines(_ handshake: Handshake) -> [String] {
    func list(_ counts: [String: Int], unnamed: Int = 0) -> String {
        var parts = counts.map { "\($0.key) x\($0.value)" }.sorted()
        if unnamed > 0 { parts.append("\(unnamed) unnamed (up to 11.0)") }
        return parts.isEmpty ? "none" : parts.joined(separator: ", ")
    }
    var lines = [
        "    requested  \(list(handshake.requests))" + (handshake.mode.map { " (\($0.rawValue) source)" } ?? ""),
        "    counted in \(list(handshake.countedIn, unnamed: handshake.unnamedCountedIn))",
        "    approved   \(list(handshake.approvals))",
        "    ACKs       \(handshake.acksSent) sent, \(handshake.acksCounted) counted",
    ]
    if let decision = handshake.decision {
        let threshold = decision.threshold.map(String.init) ?? "0"
        lines.append(
            "    decision   after \(counted(decision.acksBefore, "ACK")) and \(counted(decision.queries, "query", "queries")), "
                + "\(decision.pending) bytes pending, threshold \(threshold); "
                + (handshake.isGating
                    ? "the ACK held the decision back at \(counted(handshake.gatedSteps, "query", "queries"))"
                    : "no ACK held the decision back"))
    } else {
        lines.append("    decision   none")
    }
    return lines
}

/// A broken rule in lines: where it broke, what it says, what was found, and what would have been legal.
package func render(_ finding: Finding) -> [String] {
    var lines = [
        "    \(finding.rule.id)" + (finding.device.map { " (\($0))" } ?? "") + " at "
            + finding.places.map(\.description).joined(separator: ", ")
    ]
    lines.append("        rule       \(finding.rule.statement) [\(finding.rule.section); \(finding.rule.generations)]")
    lines.append("        found      \(finding.found)")
    lines.append("        legal      \(finding.legal)")
    if let good = finding.lastGood { lines.append("        last good  \(good.place): \(good.event)") }
    return lines
}
