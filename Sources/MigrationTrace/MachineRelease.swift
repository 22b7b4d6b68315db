/// The numbers of the release in the name of a versioned machine type, such as [10, 0] of `pc-q35-10.0`; nil for a type without them, such
/// as `microvm` or a distribution's `pc-q35-rhel9.4.0`.
package func machineRelease(_ type: String) -> [Int]? {
    guard let last = type.split(separator: "-").last, last.count < type.count else { return nil }
    let numbers = last.split(separator: ".", omittingEmptySubsequences: false).map { Int($0) }
    return numbers.count == 2 && numbers.allSatisfy { $0 != nil } ? numbers.compactMap { $0 } : nil
}
