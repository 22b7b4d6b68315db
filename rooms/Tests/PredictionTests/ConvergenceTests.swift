import Testing

@testable import Prediction

/// Thresholds, a guest that writes its memory, and REINITs without end.
@Suite struct ConvergenceTests {
    private func scenario(_ mode: AckMode, devices: Int = 1) -> Scenario {
        let side = Scenario.Side(knowsPerDevice: true, mode: mode)
        var scenario = Scenario(source: side, destination: side)
        scenario.devices = (0..<devices).map { _ in .init(source: .reinit, destination: .reinit) }
        return scenario
    }

    @Test(arguments: [
        (Threshold.above, true, Ending.completed), (.above, false, .completed), (.at, true, .completed), (.at, false, .doesNotConverge),
        (.below, true, .doesNotConverge), (.below, false, .doesNotConverge),
    ])
    func aByteDecides(threshold: Threshold, decidesAt: Bool, ending: Ending) {
        for mode in [AckMode.legacy, .perDevice] {
            var scenario = scenario(mode)
            scenario.threshold = threshold
            scenario.source.decidesAtThreshold = decidesAt
            #expect(predict(scenario).map(\.ending) == [ending])
            // Every ACK is there all the same.
            #expect(predict(scenario).first?.acksCounted == 1)
        }
    }

    @Test(arguments: [0, 1, 4])
    func aGuestFasterThanTheLink(devices: Int) {
        for mode in [AckMode.legacy, .perDevice] {
            var scenario = scenario(mode, devices: devices)
            scenario.dirtying = Dirtying(outpacesLink: true)
            let outcomes = predict(scenario)
            #expect(outcomes.map(\.ending) == [devices == 0 ? .completed : .waitsForever])
            #expect(outcomes.map(\.starves) == [devices > 0])
            if devices > 0 {
                #expect(outcomes.map(\.acksSent) == [0])
                #expect(outcomes.map(\.requests) == [Array(repeating: mode == .perDevice ? 1 : 0, count: devices)])
            }
            scenario.source.capability = false
            scenario.destination.capability = false
            #expect(predict(scenario).map(\.ending) == [.completed])
            scenario.threshold = .below
            #expect(predict(scenario).map(\.ending) == [.doesNotConverge])
            scenario.dirtying = Dirtying(outpacesLink: false)
            #expect(predict(scenario).map(\.ending) == [.completed])
        }
    }

    @Test func reinitsWithoutEnd() {
        var scenario = scenario(.perDevice, devices: 2)
        scenario.reinitsForever = true
        #expect(predict(scenario).map(\.ending) == [.doesNotConverge])
        #expect(predict(scenario).map(\.requests) == [nil])
        scenario.source.mode = .legacy
        scenario.destination.mode = .legacy
        #expect(predict(scenario).map(\.ending) == [.completed])
        #expect(predict(scenario).map(\.acksSent) == [1])
    }
}
