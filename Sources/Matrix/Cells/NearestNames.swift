/// The names that are nearest to one that does not exist.

/// Up to `count` of the names, nearest first: those in which some part differs from the text by the fewest inserted, left out or replaced
/// characters; of equally near ones, the shorter. Compares the first 128 bytes of the text.
package func nearestNames(to text: String, among names: [String], count: Int) -> [String] {
    let pattern = EditPattern(text)
    var seen: Set<String> = []
    let ranked = names.filter { seen.insert($0).inserted }.map { (distance: pattern.distance(toPartOf: $0), name: $0) }
    return ranked.sorted { ($0.distance, $0.name.utf8.count, $0.name) < ($1.distance, $1.name.utf8.count, $1.name) }.prefix(count).map(
        \.name)
}

/// A text that is compared with many others: Myers' bit-parallel algorithm, one step for each byte of the other text.
private struct EditPattern {
    /// By byte, the places where the text has it.
    private var places: [UInt128]
    private let length: Int

    init(_ text: String) {
        places = [UInt128](repeating: 0, count: 256)
        let bytes = text.utf8.prefix(128)
        length = bytes.count
        for (index, byte) in bytes.enumerated() { places[Int(byte)] |= 1 << UInt128(index) }
    }

    /// The fewest changes that make the text a part of the other one.
    func distance(toPartOf other: String) -> Int {
        guard length > 0 else { return 0 }
        var positive = ~UInt128(0)
        var negative: UInt128 = 0
        var score = length
        var best = length
        let last = UInt128(1) << UInt128(length - 1)
        for byte in other.utf8 {
            let equal = places[Int(byte)]
            let zero = (((equal & positive) &+ positive) ^ positive) | equal | negative
            let raised = negative | ~(zero | positive)
            let lowered = positive & zero
            if raised & last != 0 { score += 1 }
            if lowered & last != 0 { score -= 1 }
            // A part may begin anywhere, so the first row stays 0.
            let shiftedRaised = raised << 1
            let shiftedLowered = lowered << 1
            positive = shiftedLowered | ~(zero | shiftedRaised)
            negative = shiftedRaised & zero
            best = min(best, score)
        }
        return best
    }
}
