/// The rules for capabilities that are set together, on either side.

/// The capabilities that the rules name, by QEMU's names.
package enum MigrationCapability: String, CaseIterable, Hashable, Sendable {
    case returnPath = "return-path"
    case switchoverAck = "switchover-ack"
    case pauseBeforeSwitchover = "pause-before-switchover"
    case postcopyRAM = "postcopy-ram"
    case postcopyPreempt = "postcopy-preempt"
    case dirtyBitmaps = "dirty-bitmaps"
    case lateBlockActivate = "late-block-activate"
    case multifd
    case backgroundSnapshot = "background-snapshot"
    case colo = "x-colo"
    case events
}

package struct CapabilityRules: Hashable, Sendable {
    package let generation: Generation
    package init(_ generation: Generation) { self.generation = generation }

    /// The capabilities that a background snapshot excludes, in the order in which QEMU checks them.
    private static let notWithSnapshot: [MigrationCapability] = [
        .postcopyRAM, .dirtyBitmaps, .lateBlockActivate, .returnPath, .multifd, .pauseBeforeSwitchover, .colo,
    ]

    /// Checks the capabilities that would be on together.
    /// - Throws: the text of the first rule that is broken; then no capability is set.
    package func check(_ on: Set<MigrationCapability>) throws(ProtocolError) {
        if generation.has(.coloRequiresReturnPath) { try require(.returnPath, for: .colo, on) }
        if on.contains(.backgroundSnapshot), let other = Self.notWithSnapshot.first(where: on.contains) {
            throw ProtocolError("Background-snapshot is not compatible with \(other.rawValue)")
        }
        if on.contains(.postcopyPreempt), !on.contains(.postcopyRAM) { throw ProtocolError("Postcopy preempt requires postcopy-ram") }
        try require(.returnPath, for: .switchoverAck, on)
    }

    private func require(
        _ needed: MigrationCapability, for capability: MigrationCapability, _ on: Set<MigrationCapability>
    ) throws(ProtocolError) {
        guard on.contains(capability), !on.contains(needed) else { return }
        throw ProtocolError("Capability '\(capability.rawValue)' requires capability '\(needed.rawValue)'")
    }
}
