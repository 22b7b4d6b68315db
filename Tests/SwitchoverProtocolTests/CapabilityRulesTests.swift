/// Capabilities that do not go together.
import Testing

@testable import SwitchoverProtocol

@Suite struct CapabilityRulesTests {
    static let cases: [(Set<MigrationCapability>, String?)] = [
        ([], nil),
        ([.switchoverAck, .returnPath], nil),
        ([.switchoverAck], "Capability 'switchover-ack' requires capability 'return-path'"),
        ([.switchoverAck, .postcopyRAM], "Capability 'switchover-ack' requires capability 'return-path'"),
        ([.returnPath], nil),
        ([.backgroundSnapshot], nil),
        ([.backgroundSnapshot, .events], nil),
        ([.backgroundSnapshot, .returnPath], "Background-snapshot is not compatible with return-path"),
        ([.backgroundSnapshot, .returnPath, .switchoverAck], "Background-snapshot is not compatible with return-path"),
        ([.backgroundSnapshot, .postcopyRAM], "Background-snapshot is not compatible with postcopy-ram"),
        ([.backgroundSnapshot, .multifd], "Background-snapshot is not compatible with multifd"),
        ([.postcopyPreempt], "Postcopy preempt requires postcopy-ram"),
        ([.postcopyPreempt, .postcopyRAM], nil),
        ([.colo, .returnPath], nil),
        ([.returnPath, .switchoverAck, .postcopyRAM, .dirtyBitmaps, .pauseBeforeSwitchover, .events], nil),
    ]

    @Test(arguments: cases) func check(_ on: Set<MigrationCapability>, _ error: String?) {
        for generation in Generation.all { #expect(Self.error(generation, on) == error, "\(generation.name)") }
    }

    /// COLO is bound to the return path since 11.0.0, and not on 10.0.13.
    @Test func colo() {
        for generation in Generation.all {
            let isNew = ["11.0", "v1", "v2", "11.1", "request-message"].contains(generation.name)
            #expect(
                Self.error(generation, [.colo]) == (isNew ? "Capability 'x-colo' requires capability 'return-path'" : nil),
                "\(generation.name)")
        }
    }

    static func error(_ generation: Generation, _ on: Set<MigrationCapability>) -> String? {
        do { try CapabilityRules(generation).check(on) } catch { return error.text }
        return nil
    }
}
