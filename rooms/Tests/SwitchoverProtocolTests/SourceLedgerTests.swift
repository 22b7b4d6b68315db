/// The source's account of ACKs, generation by generation.
import Testing

@testable import SwitchoverProtocol

@Suite struct SourceLedgerTests {
    enum Step: Sendable {
        case collect(UInt32)
        case ack
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var generation: Generation
        var mode = AckMode.perDevice
        var capability = true
        var steps: [Step]
        /// After each step: what is pending; or the error, which ends the case.
        var pending: [UInt32] = []
        var error: String?
        var may: Bool
        var testDescription: String { "\(generation.name) \(mode.rawValue) \(capability ? "on" : "off") \(steps)" }
    }

    static let underflow = "Switchover ack pending num underflowed"

    static let cases: [Case] = [
        // Per-device: as many ACKs as requests, whenever they come.
        Case(generation: .v11_1, steps: [], may: true),
        Case(generation: .v11_1, steps: [.collect(2), .ack], pending: [2, 1], may: false),
        Case(generation: .v11_1, steps: [.collect(2), .ack, .ack], pending: [2, 1, 0], may: true),
        Case(generation: .v11_1, steps: [.collect(1), .ack, .collect(1)], pending: [1, 0, 1], may: false),
        Case(generation: .v11_1, steps: [.collect(1), .collect(1), .ack, .ack], pending: [1, 2, 1, 0], may: true),
        Case(generation: .v2, steps: [.collect(4), .ack, .ack, .ack, .ack], pending: [4, 3, 2, 1, 0], may: true),
        // Capability off: requests do not count, ACKs do, and nobody waits.
        Case(generation: .v11_1, capability: false, steps: [.collect(3)], pending: [0], may: true),
        Case(generation: .v11_1, mode: .legacy, capability: false, steps: [.ack], pending: [0], may: true),
        Case(generation: .v11_1, capability: false, steps: [.ack], pending: [.max], error: underflow, may: true),
        // Legacy on 11.1: one ACK, and requests do not count.
        Case(generation: .v11_1, mode: .legacy, steps: [], may: false),
        Case(generation: .v11_1, mode: .legacy, steps: [.collect(2)], pending: [1], may: false),
        Case(generation: .v11_1, mode: .legacy, steps: [.ack], pending: [0], may: true),
        Case(generation: .v11_1, mode: .legacy, steps: [.ack, .ack], pending: [0, .max], error: underflow, may: false),
        // Below 0: forever so on 11.1, an error without a trace left elsewhere.
        Case(generation: .v11_1, steps: [.ack], pending: [.max], error: underflow, may: false),
        Case(generation: .v11_1, steps: [.collect(1), .ack, .ack], pending: [1, 0, .max], error: underflow, may: false),
        Case(generation: .v11_1.corrected, steps: [.ack], pending: [0], error: underflow, may: true),
        Case(generation: .v1, steps: [.ack], pending: [.max], error: underflow, may: false),
        Case(generation: .v2, steps: [.ack], pending: [.max], error: underflow, may: false),
        Case(generation: .v2.corrected, steps: [.ack], pending: [0], error: underflow, may: true),
        // v1 looks at the counter's range; 11.1 wraps.
        Case(generation: .v1, steps: [.collect(1), .collect(1), .ack, .ack], pending: [1, 2, 1, 0], may: true),
        Case(
            generation: .v1, steps: [.collect(.max), .collect(1)], pending: [.max, .max],
            error: "Switchover ack pending num overflowed by nic", may: false),
        Case(generation: .v11_1, steps: [.collect(.max), .collect(1)], pending: [.max, 0], may: true),
        Case(generation: .v2, steps: [.collect(.max), .collect(2)], pending: [.max, 1], may: false),
    ]

    @Test(arguments: cases) func ledger(_ example: Case) {
        run(example)
    }

    /// Up to 11.0 there is one ACK, a surplus one does no harm, and the mode asked for is no matter.
    @Test(arguments: [Generation.v8_1, .v10_0, .v10_1, .v10_2, .v11_0, .postcopyDeviceV1], [AckMode.legacy, .perDevice])
    func old(_ generation: Generation, _ mode: AckMode) {
        run(Case(generation: generation, mode: mode, steps: [], may: false))
        run(Case(generation: generation, mode: mode, capability: false, steps: [], may: true))
        run(Case(generation: generation, mode: mode, steps: [.collect(2), .collect(1)], pending: [1, 1], may: false))
        run(Case(generation: generation, mode: mode, steps: [.ack], pending: [0], may: true))
        run(Case(generation: generation, mode: mode, steps: [.ack, .ack, .ack], pending: [0, 0, 0], may: true))
    }

    private func run(_ example: Case) {
        var ledger = SourceLedger(example.generation, mode: example.mode, capability: example.capability)
        var pending: [UInt32] = []
        var error: String?
        for step in example.steps where error == nil {
            do {
                switch step {
                case .collect(let requests): try ledger.collect(requests, by: "nic")
                case .ack: try ledger.acknowledge()
                }
            } catch let thrown { error = thrown.text }
            pending.append(ledger.pending)
        }
        #expect(pending == example.pending, "\(example.testDescription)")
        #expect(error == example.error, "\(example.testDescription)")
        #expect(ledger.maySwitchOver(guestRuns: true) == example.may, "\(example.testDescription)")
        #expect(ledger.maySwitchOver(guestRuns: false), "a stopped guest waits for no ACK")
    }

    /// The final query's own requests fail the migration; what is pending from before does not.
    @Test func finalQuery() throws {
        for generation in Generation.all {
            for mode in [AckMode.legacy, .perDevice] {
                for capability in [true, false] {
                    var ledger = SourceLedger(generation, mode: mode, capability: capability)
                    try ledger.collect(1)
                    try ledger.checkFinal(collected: 0)
                    let fails = capability && mode == .perDevice && ["v1", "v2", "11.1", "request-message"].contains(generation.name)
                    var text: String?
                    do { try ledger.checkFinal(collected: 2) } catch { text = error.text }
                    #expect(text == (fails ? "Switchover ACK was requested by 2 devices during switchover" : nil), "\(generation.name)")
                }
            }
        }
    }

    /// What v1's handler is told.
    @Test func stages() {
        #expect(RequestStage(exact: false, final: false).rawValue == "SETUP")
        #expect(RequestStage(exact: true, final: false).rawValue == "PENDING_EXACT")
        #expect(RequestStage(exact: true, final: true).rawValue == "COMPLETE")
    }
}
