/// Each step of a schedule reaches the requirement of an interpreter that is its own.
///
/// A new step touches four files: `ScheduleStep` (its case, its words, its requirement and its need), and the interpreters that the compiler
/// then names: `QEMUSteps`, `EngineSteps` and `StepRendering`.
import Plan
import Testing

/// Says which requirement was called, with what.
private struct Speller: StepInterpreter {
    func open(gate: String, at role: Role) -> String { "open \(gate) \(role)" }
    func haltDestination() -> String { "halt" }
    func resumeDestination() -> String { "resume" }
    func recover() -> String { "recover" }
    func concludeJob(_ id: String, at role: Role) -> String { "job \(id) \(role)" }
    func execute(_ command: String, _ arguments: JSONValue?, at role: Role) -> String { "execute \(command) \(role)" }
    func request(_ command: String, _ arguments: JSONValue?, at role: Role) -> String { "request \(command) \(role)" }
    func expectRefusal(of command: String, _ arguments: JSONValue?, words: String, at role: Role) -> String {
        "refused \(command) \(words) \(role)"
    }
    func kill(_ role: Role) -> String { "kill \(role)" }
    func yank(_ role: Role) -> String { "yank \(role)" }
    func cut(_ part: ChannelPart) -> String { "cut \(part)" }
    func limitDescriptors(of role: Role, free: Int?) -> String { "descriptors \(free ?? -1) \(role)" }
    func limitMemory(of role: Role) -> String { "memory \(role)" }
    func waitUntilHeld(_ device: String, at role: Role) -> String { "held \(device) \(role)" }
    func waitForFurtherQueries(_ count: UInt64, of device: String, at role: Role) -> String { "further queries \(count) \(device) \(role)" }
    func waitForQueries(_ count: UInt64, of device: String, at role: Role) -> String { "queries \(count) \(device) \(role)" }
    func waitUntilPrecopyIsLeft(by device: String, at role: Role) -> String { "left \(device) \(role)" }
    func waitForLogged(_ event: String, times: Int, at role: Role) -> String { "logged \(event) \(times) \(role)" }
    func waitForFurtherLogged(_ event: String, times: Int, at role: Role) -> String { "further logged \(event) \(times) \(role)" }
    func waitForStatus(_ status: String, times: Int, at role: Role) -> String { "status \(status) \(times) \(role)" }
    func waitForGuestWrite(to address: Int, at role: Role) -> String { "wrote \(address) \(role)" }
}

@Suite struct StepInterpreterTests {
    static let steps: [(step: ScheduleStep, meaning: String, need: SideAbility?)] = [
        (.open(.source, gate: "ack"), "open ack source", .gateBoard),
        (.haltDestination, "halt", .halting),
        (.resumeDestination, "resume", .halting),
        (.recover, "recover", nil),
        (.concludeJob(.source, id: "snapshot"), "job snapshot source", .jobs),
        (.execute(.destination, command: "stop", nil), "execute stop destination", .command("stop")),
        (.request(.source, command: "cont", nil), "request cont source", .command("cont")),
        (.refused(.source, command: "migrate", nil, words: "in use"), "refused migrate in use source", nil),
        (.kill(.destination), "kill destination", .killing),
        (.yank(.source), "yank source", nil),
        (.cut(.returnPath), "cut returnPath", nil),
        (.limitDescriptors(.source, free: 3), "descriptors 3 source", .descriptorLimit),
        (.limitDescriptors(.source, free: nil), "descriptors -1 source", .descriptorLimit),
        (.limitMemory(.destination), "memory destination", .memoryLimit),
        (.wait(.held(.source, device: "v0")), "held v0 source", .gateBoard),
        (.wait(.furtherQueries(.source, device: "v0", 5)), "further queries 5 v0 source", .gateBoard),
        (.wait(.queries(.destination, device: "v1", 7)), "queries 7 v1 destination", .gateBoard),
        (.wait(.leftPrecopy(.source, device: "v1")), "left v1 source", .gateBoard),
        (.wait(.logged(.source, event: "vm_state_notify", times: 2)), "logged vm_state_notify 2 source", nil),
        (.wait(.furtherLogged(.source, event: "vm_state_notify", times: 1)), "further logged vm_state_notify 1 source", nil),
        (.wait(.status(.destination, "active", times: 1)), "status active 1 destination", nil),
        (.wait(.guestWrote(.source, address: 4096)), "wrote 4096 source", .guestMemoryReads),
    ]

    @Test(arguments: steps)
    func `a step has one meaning and one need`(row: (step: ScheduleStep, meaning: String, need: SideAbility?)) throws {
        #expect(try row.step.meaning(to: Speller()) == row.meaning)
        #expect(row.step.need?.ability == row.need)
    }

    @Test func `counted events are those of the conditions that count them`() {
        let counted = Self.steps.compactMap { $0.step.condition?.countedEvent?.name }
        #expect(counted == ["vm_state_notify", "vm_state_notify"])
    }
}
