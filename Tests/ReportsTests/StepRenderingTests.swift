/// Each step of a schedule reaches the requirement of an interpreter that is its own: here the shell's, whose lines can be read.
///
/// A new step touches four files: `ScheduleStep` (its case, its words, its requirement and its need), and the interpreters that the compiler
/// then names: `QEMUSteps`, `EngineSteps` and `StepRendering`.
import Foundation
import Plan
import QEMUPeer
import Testing
import VFIO

@testable import Reports

@Suite struct StepRenderingTests {
    /// What the shell does for a step, behind the description that it prints; nil: it cannot take the step.
    static let steps: [(step: ScheduleStep, lines: [String]?)] = [
        (.open(.source, gate: "ack"), ["open_gate TEXT src GATE"]), (.haltDestination, ["send_signal TEXT dst STOP"]),
        (.resumeDestination, ["send_signal TEXT dst CONT"]), (.recover, nil), (.concludeJob(.source, id: "snapshot"), nil),
        (.execute(.destination, command: "stop", nil), [#"execute TEXT dst '{"execute":"stop"}'"#]),
        (.request(.source, command: "cont", nil), [#"request TEXT src '{"execute":"cont"}'"#]),
        (
            .refused(.source, command: "migrate", nil, words: "in use"),
            [#"expect_refusal TEXT src '{"execute":"migrate"}' 'in use'"#]
        ), (.kill(.destination), ["send_signal TEXT dst KILL"]),
        (.yank(.source), [#"request TEXT src '{"arguments":{"instances":[{"type":"migration"}]},"execute":"yank"}'"#]),
        (.cut(.returnPath), nil), (.limitDescriptors(.source, free: 3), ["limit_descriptors TEXT src 3"]),
        (.limitDescriptors(.source, free: nil), ["limit_descriptors TEXT src lift"]), (.limitMemory(.destination), nil),
        (.wait(.held(.source, device: "v0")), ["wait_for TEXT held src HELD"]),
        (
            .wait(.furtherQueries(.source, device: "v0", 5)),
            ["goal=$(($(word src QUERIES) + 5))", #"wait_for TEXT reached src QUERIES "$goal""#]
        ), (.wait(.queries(.source, device: "v0", 7)), ["wait_for TEXT reached src QUERIES 7"]),
        (.wait(.leftPrecopy(.source, device: "v0")), ["wait_for TEXT left_precopy src STATE"]),
        (.wait(.logged(.source, event: "vm_state_notify", times: 2)), ["wait_for TEXT has_logged src vm_state_notify 2"]),
        (
            .wait(.furtherLogged(.source, event: "vm_state_notify", times: 1)),
            ["goal=$(($(count src vm_state_notify) + 1))", #"wait_for TEXT has_logged src vm_state_notify "$goal""#]
        ),
        (
            .wait(.status(.destination, "active", times: 1)),
            ["wait_for TEXT has_logged dst migrate_set_state 1 'new state active'"]
        ), (.wait(.guestWrote(.source, address: 4096)), ["wait_for TEXT guest_wrote src 0x1000"]),
    ]

    @Test(arguments: steps) func aStepHasOneMeaning(row: (step: ScheduleStep, lines: [String]?)) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("board-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let board = try GateBoard(path: path)
        let places = try board.places(gates: ["ack"], devices: ["v0"])
        let rendering = StepRendering(source: "src", destination: "dst", places: ["src": places])
        guard let lines = row.lines else {
            #expect(throws: Unrenderable.self) { try rendering.lines(row.step) }
            return
        }
        let words = [
            "GATE": places.gates["ack"], "HELD": places.held["v0"], "QUERIES": places.queries["v0"], "STATE": places.states["v0"],
        ]
        let expected = try lines.map { line in
            try words.reduce(line.replacing("TEXT", with: shellQuoted(row.step.description))) { line, word in
                line.replacing(word.key, with: "\(try #require(word.value))")
            }
        }
        #expect(try rendering.lines(row.step) == expected)
    }

    /// A gate or a device that the side has not, and a side without a board.
    @Test(arguments: [
        ScheduleStep.open(.source, gate: "none"), .wait(.held(.source, device: "v7")), .open(.destination, gate: "ack"),
    ])
    func anUnknownPlaceIsRefused(step: ScheduleStep) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("board-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let board = try GateBoard(path: path)
        let places = try board.places(gates: ["ack"], devices: ["v0"])
        let rendering = StepRendering(source: "src", destination: "dst", places: ["src": places])
        #expect(throws: Unrenderable.self) { try rendering.lines(step) }
    }
}
