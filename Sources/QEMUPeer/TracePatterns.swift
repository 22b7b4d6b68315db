/// Patterns that switch trace events on.
///
/// For each line of the file of `-trace events=`, QEMU compares its every event with the line: 129 names take 95 ms of processor time at
/// the start of 11.1, which has 5,500 events, and 40 patterns take 30 ms (the start takes 55 ms without).

/// The fewest patterns of the form `prefix*`, and names, that match all of the wanted events and no other event of the binary.
func tracePatterns(for wanted: [String], among all: some Collection<String>) -> [String] {
    let wantedNames = Set(wanted)
    let others = all.filter { !wantedNames.contains($0) }.sorted()
    var patterns: [String] = []
    for name in wanted.sorted() where !patterns.contains(where: { $0.hasSuffix("*") && name.hasPrefix($0.dropLast()) }) {
        // Of sorted names the neighbours have the most of a name in common with it.
        let next = others.partitioningIndex { $0 >= name }
        let shared = [next - 1, next].filter(others.indices.contains).map { sharedLength(name, others[$0]) }.max() ?? 0
        patterns.append(shared < name.count ? name.prefix(shared + 1) + "*" : name)
    }
    return patterns
}

extension [String] {
    /// The first index of a sorted array whose element is in the later part.
    fileprivate func partitioningIndex(where isLater: (String) -> Bool) -> Int {
        var (low, high) = (startIndex, endIndex)
        while low < high {
            let middle = low + (high - low) / 2
            if isLater(self[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

/// How many characters two names begin with in common.
private func sharedLength(_ one: String, _ other: String) -> Int { zip(one.utf8, other.utf8).prefix { $0 == $1 }.count }
