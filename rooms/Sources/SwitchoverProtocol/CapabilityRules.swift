/// Which capabilities go together, as they are set on either side.

/// Capabilities by QEMU's names; those that the rules speak of.
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

    /// What a background snapshot does not go with, in the order in which it is looked for.
    private static let notWithSnapshot: [MigrationCapability] = [
        .postcopyRAM, .dirtyBitmaps, .lateBlockActivate, .returnPath, .multifd, .pauseBeforeSwitchover, .colo,
    ]

    /// Checks what would be on together.
    /// - Throws: the text of the first rule that is broken; nothing is set then.
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
