/// What each step of a schedule is to a shell: lines of a standalone script, in the words of `harness/standalone.sh`.
import MigrationTrace
import Plan
import QEMUPeer
import VFIO

struct StepRendering {
    /// The folders of the leg's two sides.
    let source: String
    let destination: String
    /// Where each folder's gate board has what, in bytes; a side without devices has no board.
    let places: [String: GateBoard.Places]

    /// The lines for one step. Throws `Unrenderable` for a step that a shell cannot take.
    func lines(_ step: ScheduleStep) throws -> [String] { try step.meaning(to: StepLines(rendering: self, step: step)) }
}

/// Renders one step, whose description the script prints when it takes the step.
private struct StepLines: StepInterpreter {
    let rendering: StepRendering
    let step: ScheduleStep

    private var text: String { shellQuoted(escaped(step.description)) }
    private var unrenderable: Unrenderable { Unrenderable(description: "a shell script cannot: \(step)") }

    private func folder(_ role: Role) -> String { role == .source ? rendering.source : rendering.destination }

    private func place(_ role: Role, _ name: String, _ places: KeyPath<GateBoard.Places, [String: Int]>) throws -> Int {
        guard let place = rendering.places[folder(role)]?[keyPath: places][name] else {
            throw Unrenderable(description: "the \(role.rawValue) has no '\(name)'")
        }
        return place
    }

    private func command(_ command: String, _ arguments: JSONValue?) throws -> String { shellQuoted(try qmpLine(command, arguments)) }

    func open(gate: String, at role: Role) throws -> [String] { ["open_gate \(text) \(folder(role)) \(try place(role, gate, \.gates))"] }

    func haltDestination() -> [String] { ["send_signal \(text) \(rendering.destination) STOP"] }

    func resumeDestination() -> [String] { ["send_signal \(text) \(rendering.destination) CONT"] }

    func recover() throws -> [String] { throw unrenderable }

    func concludeJob(_ id: String, at role: Role) throws -> [String] { throw unrenderable }

    func execute(_ name: String, _ arguments: JSONValue?, at role: Role) throws -> [String] {
        ["execute \(text) \(folder(role)) \(try command(name, arguments))"]
    }

    func request(_ name: String, _ arguments: JSONValue?, at role: Role) throws -> [String] {
        ["request \(text) \(folder(role)) \(try command(name, arguments))"]
    }

    func expectRefusal(of name: String, _ arguments: JSONValue?, words: String, at role: Role) throws -> [String] {
        ["expect_refusal \(text) \(folder(role)) \(try command(name, arguments)) \(shellQuoted(words))"]
    }

    func kill(_ role: Role) -> [String] { ["send_signal \(text) \(folder(role)) KILL"] }

    func yank(_ role: Role) throws -> [String] {
        // The migration may be over before the command is answered.
        ["request \(text) \(folder(role)) \(try command("yank", ["instances": .array([["type": "migration"]])]))"]
    }

    func cut(_ part: ChannelPart) throws -> [String] { throw unrenderable }

    func limitDescriptors(of role: Role, free: Int?) -> [String] {
        ["limit_descriptors \(text) \(folder(role)) \(free.map(String.init) ?? "lift")"]
    }

    func limitMemory(of role: Role) throws -> [String] { throw unrenderable }

    func waitUntilHeld(_ device: String, at role: Role) throws -> [String] {
        ["wait_for \(text) held \(folder(role)) \(try place(role, device, \.held))"]
    }

    func waitForFurtherQueries(_ count: UInt64, of device: String, at role: Role) throws -> [String] {
        let place = try place(role, device, \.queries)
        return ["goal=$(($(word \(folder(role)) \(place)) + \(count)))", "wait_for \(text) reached \(folder(role)) \(place) \"$goal\""]
    }

    func waitForQueries(_ count: UInt64, of device: String, at role: Role) throws -> [String] {
        ["wait_for \(text) reached \(folder(role)) \(try place(role, device, \.queries)) \(count)"]
    }

    func waitUntilPrecopyIsLeft(by device: String, at role: Role) throws -> [String] {
        ["wait_for \(text) left_precopy \(folder(role)) \(try place(role, device, \.states))"]
    }

    func waitForLogged(_ event: String, times: Int, at role: Role) -> [String] {
        ["wait_for \(text) has_logged \(folder(role)) \(event) \(times)"]
    }

    func waitForFurtherLogged(_ event: String, times: Int, at role: Role) -> [String] {
        ["goal=$(($(count \(folder(role)) \(event)) + \(times)))", "wait_for \(text) has_logged \(folder(role)) \(event) \"$goal\""]
    }

    func waitForStatus(_ status: String, times: Int, at role: Role) -> [String] {
        ["wait_for \(text) has_logged \(folder(role)) migrate_set_state \(times) \(shellQuoted("new state " + status))"]
    }

    func waitForGuestWrite(to address: Int, at role: Role) -> [String] {
        ["wait_for \(text) guest_wrote \(folder(role)) 0x\(String(address, radix: 16))"]
    }
}
