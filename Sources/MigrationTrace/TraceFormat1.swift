/// What a trace of format 1 says in other words than one of format 2.
///
/// Format 1 has no traits: they follow from its features `generation`, the label of the release, and `mode`. This is the only place where
/// the name of a generation decides anything, and it is read here so that traces recorded before format 2 stay readable.
extension TraceHeader {
    /// The header in the words of format 2, read from a file of format 1.
    mutating func translateFromFormat1() {
        if verdict == "waits for ever" { verdict = "waits forever" }
        source.deriveTraits()
        destination.deriveTraits()
    }
}

extension TraceSide {
    fileprivate mutating func deriveTraits() {
        traits[.ackMode] = features.last { $0.name == "mode" }?.value
        features.removeAll { $0.name == "mode" }
        // An engine without the known defects of a release is named after it: `10.0-corrected`.
        let corrected = "-corrected"
        guard var generation = features.last(where: { $0.name == "generation" })?.value else { return }
        if generation.hasSuffix(corrected) { generation.removeLast(corrected.count) }
        traits.decision = ["8.1", "10.0"].contains(generation) ? .belowThreshold : .atThreshold
        traits.switchesInDevice = generation != "8.1"
        traits.announcesRequests = generation == "request-message"
    }
}
