/// When the threshold that a schedule has set is the one in force.
import Plan
import Testing

@Suite struct ThresholdInForceTests {
    private static let window = ScheduleStep.wait(.furtherLogged(.source, event: "migrate_transferred", times: 1))
    private static func set(_ role: Role, _ name: String) -> ScheduleStep {
        .execute(role, command: "migrate-set-parameters", .object([name: 1]))
    }

    @Test(arguments: ["avail-switchover-bandwidth", "downtime-limit", "max-bandwidth"])
    func `a threshold that was set is pending until a window has ended since that was seen`(name: String) {
        var threshold = ThresholdInForce(steps: [Self.window, Self.set(.source, name), Self.window])
        threshold.windowEnded()
        #expect(threshold.pending(after: 0) == nil)
        #expect(threshold.pending(after: 1) == nil)
        threshold.windowEnded()
        #expect(threshold.pending(after: 2) != nil)
        #expect(threshold.pending(after: 2) != nil)
        threshold.windowEnded()
        #expect(threshold.pending(after: 2) == nil)
        #expect(threshold.pending(after: 3) == nil)
    }

    @Test func `a step behind it that waits for no window changes nothing`() {
        var threshold = ThresholdInForce(steps: [Self.set(.source, "downtime-limit"), .open(.source, gate: "load")])
        threshold.windowEnded()
        #expect(threshold.pending(after: 2) != nil)
        threshold.windowEnded()
        #expect(threshold.pending(after: 2) == nil)
    }

    @Test func `nothing else is waited for`() {
        let others: [ScheduleStep] = [
            Self.set(.destination, "downtime-limit"), Self.set(.source, "multifd-channels"),
            .execute(.source, command: "stop", nil), .open(.source, gate: "load"),
        ]
        for step in others {
            var threshold = ThresholdInForce(steps: [step])
            #expect(threshold.pending(after: 1) == nil, "\(step)")
        }
    }
}
