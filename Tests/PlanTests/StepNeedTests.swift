/// What each step of a schedule needs of its side, and which events its conditions count.
import Plan
import Testing

@Suite struct StepNeedTests {
    static let steps: [(step: ScheduleStep, need: SideAbility?)] = [
        (.open(.source, gate: "ack"), .gateBoard), (.haltDestination, .halting), (.resumeDestination, .halting), (.recover, nil),
        (.concludeJob(.source, id: "snapshot"), .jobs), (.execute(.destination, command: "stop", nil), .command("stop")),
        (.request(.source, command: "cont", nil), .command("cont")), (.refused(.source, command: "migrate", nil, words: "in use"), nil),
        (.kill(.destination), .killing), (.yank(.source), nil), (.cut(.returnPath), nil),
        (.limitDescriptors(.source, free: 3), .descriptorLimit), (.limitDescriptors(.source, free: nil), .descriptorLimit),
        (.limitMemory(.destination), .memoryLimit), (.wait(.held(.source, device: "v0")), .gateBoard),
        (.wait(.furtherQueries(.source, device: "v0", 5)), .gateBoard), (.wait(.queries(.destination, device: "v1", 7)), .gateBoard),
        (.wait(.leftPrecopy(.source, device: "v1")), .gateBoard), (.wait(.logged(.source, event: "vm_state_notify", times: 2)), nil),
        (.wait(.furtherLogged(.source, event: "vm_state_notify", times: 1)), nil),
        (.wait(.status(.destination, "active", times: 1)), nil), (.wait(.guestWrote(.source, address: 4096)), .guestMemoryReads),
    ]

    @Test(arguments: steps) func aStepHasOneNeed(row: (step: ScheduleStep, need: SideAbility?)) {
        #expect(row.step.need?.ability == row.need)
    }

    @Test func countedEventsAreThoseOfTheConditionsThatCountThem() {
        let counted = Self.steps.compactMap { $0.step.condition?.countedEvent?.name }
        #expect(counted == ["vm_state_notify", "vm_state_notify"])
    }
}
