import Testing

@testable import Prediction

/// Postcopy, and migrations that are none to another host, as measured on 10.0.13 (legacy only, no postcopy-device) and 11.1.3.
@Suite struct PostcopyTests {
    private func scenario(isNew: Bool, mode: AckMode = .legacy, devices: Int = 0, capability: Bool = true) -> Scenario {
        var side = Scenario.Side(knowsPerDevice: isNew, mode: mode)
        side.capability = capability
        (side.hasPostcopyDevice, side.replicates, side.hasCPRExec, side.namesMemoryOfCPR) = (isNew, isNew, isNew, isNew)
        var scenario = Scenario(source: side, destination: side)
        scenario.devices = (0..<devices).map { _ in Scenario.Device(source: .reinit, destination: .reinit) }
        return scenario
    }

    @Test(arguments: [
        (PostcopyCourse.completes, Ending.completed, Ending.completed), (.nothingIsMissing, .completed, .failed),
        (.loadFails, .noGuest, .failed), (.killedLoading, .noGuest, .failed), (.killedRunning, .noGuest, .noGuest),
        (.paused, .paused, .paused), (.recovered, .completed, .completed), (.cutAtTheEnd, .twoGuests, .twoGuests),
        (.bitmaps, .completed, .completed),
    ])
    func whoHasTheGuest(course: PostcopyCourse, old: Ending, new: Ending) {
        for (isNew, ending) in [(false, old), (true, new)] {
            var scenario = scenario(isNew: isNew)
            scenario.source.decidesAtThreshold = isNew
            scenario.postcopy = Postcopy(course)
            let outcomes = predict(scenario)
            #expect(outcomes.map(\.ending) == [ending])
            // Whatever befalls postcopy, its start had the one ACK.
            #expect(outcomes.first?.acksCounted == 1)
            scenario.source.capability = false
            scenario.destination.capability = false
            #expect(predict(scenario).map(\.acksCounted) == [0])
        }
    }

    /// The releases between, which were run as well: 10.1.0 has neither status postcopy-device nor what came with 11.0.
    @Test(arguments: [
        (from: "10.0.13", to: "10.1.0", ending: Ending.completed), ("10.1.0", "10.0.13", .twoGuests), ("10.1.0", "10.1.0", .twoGuests),
        ("10.1.0", "11.0.0", .failed), ("10.2.0", "10.2.0", .failed), ("11.0.0", "11.0.0", .failed), ("11.1.3", "10.0.13", .failed),
    ])
    func anACKThatStartsAnEmptyPostcopy(from: String, to: String, ending: Ending) {
        var scenario = scenario(isNew: false)
        for (side, release) in [(\Scenario.source, from), (\Scenario.destination, to)] {
            scenario[keyPath: side].decidesAtThreshold = release != "10.0.13"
            scenario[keyPath: side].hasPostcopyDevice = !["10.0.13", "10.1.0"].contains(release)
        }
        scenario.postcopy = Postcopy(.nothingIsMissing)
        #expect(predict(scenario).map(\.ending) == [ending])
    }

    @Test(arguments: [(false, false, Ending.twoGuests), (false, true, .failed), (true, true, .replicates)])
    func coloBeganWithACommand(source: Bool, destination: Bool, ending: Ending) {
        var scenario = scenario(isNew: false)
        (scenario.source.replicates, scenario.destination.replicates) = (source, destination)
        scenario.purpose = .colo
        #expect(predict(scenario).map(\.ending) == [ending])
    }

    /// Refusals in the words of each release.
    @Test(arguments: [
        (Purpose.cprTransfer, false, "missing 'cpr' migration channel"), (.cprTransfer, true, "is not compatible with CPR"),
        (.cprExec, false, "does not accept value 'cpr-exec'"), (.cprExec, true, "cpr-exec mode requires setting cpr-exec-command"),
    ])
    func cprIsRefused(purpose: Purpose, isKnown: Bool, words: String) {
        var scenario = scenario(isNew: false)
        (scenario.source.hasCPRExec, scenario.source.namesMemoryOfCPR) = (isKnown, isKnown)
        scenario.purpose = purpose
        #expect(predict(scenario).map(\.words) == [words])
    }

    @Test func devicesRefusePostcopyOfMemoryAndEndlesslyTakeThatOfBitmaps() {
        for isNew in [false, true] {
            var scenario = scenario(isNew: isNew, devices: 2)
            scenario.postcopy = Postcopy(.refusedByDevices)
            #expect(predict(scenario).map(\.ending) == [.refused])
            scenario.postcopy = Postcopy(.bitmaps)
            #expect(predict(scenario).map(\.ending) == [isNew ? .doesNotConverge : .completed])
        }
    }

    /// Mode, devices and capability, and the endings into a file, through a pipe, and as a snapshot.
    @Test(arguments: [
        (AckMode.legacy, 0, true, Ending.waitsForever, Ending.waitsForever), (.legacy, 1, true, .waitsForever, .waitsForever),
        (.perDevice, 0, true, .failed, .waitsForever), (.perDevice, 1, true, .waitsForever, .waitsForever),
        (.legacy, 1, false, .failed, .waitsForever), (.perDevice, 2, false, .failed, .waitsForever),
    ])
    func withoutASocket(mode: AckMode, devices: Int, capability: Bool, file: Ending, pipe: Ending) {
        var scenario = scenario(isNew: true, mode: mode, devices: devices, capability: capability)
        for (sink, ending) in [(Sink.file, file), (.pipe, pipe), (.snapshot, .completed)] {
            scenario.sink = sink
            #expect(predict(scenario).map(\.ending) == [ending], "\(sink)")
        }
        scenario.hasReturnPath = false
        for sink in [Sink.file, .pipe] {
            scenario.sink = sink
            #expect(predict(scenario).map(\.ending) == [capability ? .refused : .completed])
        }
    }

    @Test(arguments: [
        (Purpose.backgroundSnapshot, Ending.refused, Ending.refused, Ending.refused), (.colo, .twoGuests, .replicates, .replicates),
        (.cprReboot, .completed, .completed, .failed), (.cprTransfer, .refused, .refused, .refused),
        (.cprExec, .refused, .refused, .refused),
    ])
    func otherPurposes(purpose: Purpose, old: Ending, new: Ending, withDevice: Ending) {
        var scenario = scenario(isNew: false)
        scenario.purpose = purpose
        #expect(predict(scenario).map(\.ending) == [old])
        for (devices, ending) in [(0, new), (1, withDevice)] {
            var scenario = self.scenario(isNew: true, mode: .perDevice, devices: devices)
            scenario.purpose = purpose
            #expect(predict(scenario).map(\.ending) == [ending])
        }
    }
}
