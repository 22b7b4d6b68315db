import MigrationTrace
import Testing

@testable import Plan

/// The mode of a machine type is a rule of QEMU's releases, and a binary that departs from it is noticed.
@Suite struct ModeRuleTests {
    @Test(arguments: [
        ("pc-q35-8.1", SwitchoverAckMode.legacy), ("pc-q35-9.2", .legacy), ("pc-q35-11.0", .legacy), ("pc-i440fx-11.0", .legacy),
        ("pc-q35-11.1", .perDevice), ("pc-q35-12.0", .perDevice), ("none", .perDevice), ("microvm", .perDevice), ("q35", .perDevice),
    ])
    func theTypeHasItsMode(type: String, mode: SwitchoverAckMode) {
        #expect(SwitchoverAckMode.ruled(machine: type) == mode)
    }

    private func features(_ version: String, _ modes: [String: SwitchoverAckMode], statuses: [String] = ["failing", "postcopy-device"])
        -> ProbedFeatures
    {
        ProbedFeatures(
            version: version, package: "", hasSwitchoverAck: true, hasLegacyProperty: !modes.isEmpty, statuses: statuses,
            traceEvents: ["ram_save_complete", "vfio_load_state_device_buffer_incoming"], machineTypes: Array(modes.keys), aliases: [:],
            modes: modes)
    }

    @Test func aBuildWithoutItsCompatEntryIsNamed() {
        let right = features("11.1.3", ["pc-q35-11.0": .legacy, "pc-q35-11.1": .perDevice, "none": .perDevice])
        #expect(right.typesAgainstTheRule.isEmpty)
        let wrong = features("11.1.3", ["pc-q35-10.2": .perDevice, "pc-q35-11.0": .perDevice, "pc-q35-11.1": .perDevice])
        #expect(wrong.typesAgainstTheRule == ["pc-q35-10.2", "pc-q35-11.0"])
        #expect(features("11.1.3", ["pc-q35-11.1": .legacy]).typesAgainstTheRule == ["pc-q35-11.1"])
    }

    @Test(
        arguments: [
            ("11.1.3", true, "11.1", nil),
            ("11.1.3", false, "11.0", "expected what QEMU 11.1 can do, as the version 11.1.3 says, found 11.0"),
            ("11.0.50", false, "11.0", nil), ("11.0.50", true, "11.1", nil), ("12.0.0", true, "11.1", nil), ("9.2.1", false, "11.0", nil),
            ("", true, "11.1", nil), ("x.y", true, "11.1", nil),
        ] as [(String, Bool, String, String?)])
    func whatTheVersionPromisesIsLookedFor(version: String, hasBothModes: Bool, generation: String, words: String?) {
        let features = features(version, hasBothModes ? ["pc-q35-11.1": .perDevice] : [:])
        #expect(features.generation == generation)
        #expect(features.fallsShort == words)
    }
}
