/// Who is answered, and when, at the destination.
import Testing

@testable import SwitchoverProtocol

@Suite struct DestinationApproverTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var generation: Generation
        var mode: AckMode
        var capability: Bool
        var users: Int
        /// Whether OPEN_RETURN_PATH is answered by an ACK.
        var atOnce: Bool
        /// Whether each marker is; nil: it is refused.
        var markers: [Bool?]
        var testDescription: String { "\(generation.name) \(mode.rawValue) \(capability) \(users) users" }
    }

    static let cases: [Case] = [
        Case(generation: .v11_1, mode: .legacy, capability: true, users: 0, atOnce: true, markers: [nil]),
        Case(generation: .v11_1, mode: .legacy, capability: true, users: 1, atOnce: false, markers: [true, nil]),
        Case(generation: .v11_1, mode: .legacy, capability: true, users: 3, atOnce: false, markers: [false, false, true, nil, nil]),
        Case(generation: .v11_1, mode: .legacy, capability: false, users: 2, atOnce: false, markers: [nil]),
        Case(generation: .v11_1, mode: .perDevice, capability: true, users: 0, atOnce: false, markers: [true]),
        Case(generation: .v11_1, mode: .perDevice, capability: true, users: 2, atOnce: false, markers: [true, true, true, true]),
        Case(generation: .v1, mode: .perDevice, capability: true, users: 2, atOnce: false, markers: [true, true, true]),
        Case(generation: .v2, mode: .perDevice, capability: true, users: 1, atOnce: false, markers: [true, true]),
        Case(generation: .v11_1, mode: .perDevice, capability: false, users: 2, atOnce: false, markers: [true]),
    ]

    @Test(arguments: cases) func approver(_ example: Case) { run(example) }

    /// Without per-device ACKs a destination counts, whatever it is asked to do.
    @Test(arguments: [Generation.v8_1, .v10_0, .v10_1, .v10_2, .v11_0, .postcopyDeviceV1], [AckMode.legacy, .perDevice])
    func old(_ generation: Generation, _ mode: AckMode) {
        run(Case(generation: generation, mode: mode, capability: true, users: 0, atOnce: true, markers: [nil]))
        run(Case(generation: generation, mode: mode, capability: true, users: 2, atOnce: false, markers: [false, true, nil]))
        run(Case(generation: generation, mode: mode, capability: false, users: 2, atOnce: false, markers: [nil]))
    }

    private func run(_ example: Case) {
        var approver = DestinationApprover(example.generation, mode: example.mode, capability: example.capability)
        for _ in 0..<example.users { approver.countUser() }
        #expect(approver.acknowledgesWithoutUsers == example.atOnce, "\(example.testDescription)")
        var answers: [Bool?] = []
        for _ in example.markers {
            do { answers.append(try approver.approve()) } catch {
                #expect(error.text == "qemu_loadvm_approve_switchover failed, err=-22 (Invalid argument)")
                answers.append(nil)
            }
        }
        #expect(answers == example.markers, "\(example.testDescription)")
    }

    /// A marker is for users, and for a side that has the capability on.
    @Test(arguments: [true, false], [true, false]) func marker(capability: Bool, isUser: Bool) {
        let approver = DestinationApprover(.v11_1, mode: .perDevice, capability: capability)
        var text: String?
        do { try approver.checkMarker(device: "v0", isUser: isUser) } catch { text = error.text }
        #expect(text == (capability && isUser ? nil : "v0: Received INIT_DATA_SENT but switchover ack is not used"))
    }
}
