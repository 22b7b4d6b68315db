import TestSupport
import Testing

@testable import Prediction

/// The closed form against the tables it must give: what was measured on 10.0.13 and 11.1.3, cell by cell.
@Suite struct PredictionTests {
    /// A kind of side: an old one, or a new one in either mode.
    enum Kind: String, CaseIterable {
        case old, legacy, new

        var side: Scenario.Side { Scenario.Side(knowsPerDevice: self != .old, mode: self == .new ? .perDevice : .legacy) }
    }

    private func scenario(_ source: Kind, _ destination: Kind, devices: Int, ability: Ability = .reinit, reinits: Int = 0) -> Scenario {
        var scenario = Scenario(source: source.side, destination: destination.side)
        scenario.devices = (0..<devices).map { _ in
            var device = Scenario.Device(source: ability, destination: ability)
            device.reinits = reinits
            return device
        }
        return scenario
    }

    /// The table of mixed modes: source, destination, and the endings for no, one, two and four users.
    @Test(arguments: [
        (Kind.legacy, Kind.legacy, [[.completed], [.completed], [.completed], [.completed]] as [[Ending]]),
        (.new, .new, [[.completed], [.completed], [.completed], [.completed]]),
        (.new, .legacy, [[.endlessAfterUnderflow, .twoGuests, .failed], [.completed], [.waitsForever], [.waitsForever]]),
        (.new, .old, [[.endlessAfterUnderflow, .twoGuests, .failed], [.completed], [.waitsForever], [.waitsForever]]),
        (
            .legacy, .new,
            [[.waitsForever], [.completed], [.endlessAfterUnderflow, .twoGuests, .failed], [.endlessAfterUnderflow, .twoGuests, .failed]]
        ),
        (.old, .new, [[.waitsForever], [.completed], [.completed], [.completed]]),
        (.old, .legacy, [[.completed], [.completed], [.completed], [.completed]]),
        (.legacy, .old, [[.completed], [.completed], [.completed], [.completed]]),
        (.old, .old, [[.completed], [.completed], [.completed], [.completed]]),
    ])
    func mixedModes(source: Kind, destination: Kind, endings: [[Ending]]) {
        for (devices, expected) in zip([0, 1, 2, 4], endings) {
            #expect(predict(scenario(source, destination, devices: devices)).map(\.ending) == expected, "\(devices) devices")
        }
    }

    /// A requester of one ACK counts as a user, behind the devices; one that asks late fails a per-device source, and nobody else.
    @Test(arguments: [
        (Kind.new, Kind.new, 0, Requester(requests: 1), Ending.completed, [1], [0], [1], 1),
        (.new, .new, 2, Requester(requests: 3), .completed, [1, 1, 3], [0, 0, 0], [1, 1, 3], 5),
        (.new, .new, 1, Requester(requests: 1, late: 2), .failed, [1, 3], [0, 0], [1, 1], 2),
        (.legacy, .legacy, 1, Requester(requests: 3, late: 1), .completed, [0, 0], [1, 1], [1, 1], 1),
        (.old, .old, 0, Requester(requests: 1), .completed, [0], [1], [1], 1),
        (.new, .legacy, 0, Requester(requests: 1), .completed, [1], [1], [1], 1),
        (.new, .legacy, 1, Requester(requests: 1), .waitsForever, [1, 1], [1, 1], [1, 1], 1),
        (.legacy, .new, 0, Requester(requests: 1), .completed, [0], [0], [1], 1),
    ])
    func aRequesterCountsBehindTheDevices(
        source: Kind, destination: Kind, devices: Int, requester: Requester, ending: Ending, requests: [Int], countedIn: [Int],
        approvals: [Int], acks: Int
    ) throws {
        var scenario = scenario(source, destination, devices: devices)
        scenario.requester = requester
        scenario.isGated = true
        let outcome = try #require(predict(scenario).first)
        #expect(predict(scenario).count == 1)
        #expect(outcome.ending == ending)
        #expect(outcome.requests == requests && outcome.countedIn == countedIn && outcome.approvals == approvals)
        #expect((outcome.acksSent, outcome.acksCounted) == (acks, acks))
        #expect(outcome.isGating == (ending == .completed))
        let late = source == .new ? requester.late : 0
        #expect(outcome.words == (late > 0 ? "Switchover ACK was requested by \(late) devices during switchover" : nil))
    }

    /// More markers than a legacy destination counts users: it refuses one. Without the capability there is none.
    @Test func aRequestersMarkersMayBeRefused() {
        var scenario = scenario(.new, .legacy, devices: 0)
        scenario.requester = Requester(requests: 2)
        #expect(predict(scenario).map(\.ending) == [.failed])
        scenario.destination = Kind.new.side
        scenario.destination.capability = false
        scenario.requester = Requester(requests: 1, late: 1)
        #expect(predict(scenario).map(\.ending) == [.failed])
        #expect(predict(scenario).first?.requests == [1] && predict(scenario).first?.words == nil)
        scenario.source.capability = false
        #expect(predict(scenario).map(\.ending) == [.completed])
        #expect(predict(scenario).first?.requests == [0])
    }

    /// What is asked for as postcopy starts fails before anything is handed over, whatever would become of the postcopy.
    @Test(arguments: [PostcopyCourse.completes, .paused, .killedRunning]) func aLateRequestFailsTheStartOfPostcopy(course: PostcopyCourse) {
        var scenario = scenario(.new, .new, devices: 0)
        scenario.requester = Requester(requests: 1, late: 1)
        scenario.postcopy = Postcopy(course)
        #expect(predict(scenario).map(\.ending) == [.failed])
        #expect(predict(scenario).first?.words == "Switchover ACK was requested by 1 devices during switchover")
    }

    @Test(arguments: [(Scenario.Race.acksFirst, Ending.endlessAfterUnderflow), (.decisionFirst, .twoGuests)])
    func aForcedRaceHasOneEnding(race: Scenario.Race, ending: Ending) {
        for (source, destination, devices) in [(Kind.new, Kind.legacy, 0), (.legacy, .new, 2), (.new, .old, 0)] {
            var forced = scenario(source, destination, devices: devices)
            forced.race = race
            #expect(predict(forced).map(\.ending) == [ending])
            forced.destination.startsPaused = true
            #expect(predict(forced).map(\.ending) == [ending == .twoGuests ? .wouldRunTwoGuests : ending])
        }
    }

    /// Requests a device, devices counted in, approvals a device, ACKs sent and counted.
    @Test(arguments: [
        (Kind.new, Kind.new, 2, 3, [4, 4], [0, 0], [4, 4], 8, 8), (.new, .new, 1, 0, [1], [0], [1], 1, 1),
        (.legacy, .legacy, 2, 3, [0, 0], [1, 1], [1, 1], 1, 1), (.old, .legacy, 4, 0, [0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], 1, 1),
        (.old, .old, 0, 0, [], [], [], 1, 1), (.new, .new, 0, 0, [], [], [], 0, 0), (.old, .new, 2, 0, [0, 0], [0, 0], [1, 1], 2, 2),
        (.new, .legacy, 2, 0, [1, 1], [1, 1], [1, 1], 1, 1), (.legacy, .new, 4, 0, [0, 0, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1], 4, 2),
        (.new, .old, 0, 0, [], [], [], 1, 1),
    ])
    func counts(
        source: Kind, destination: Kind, devices: Int, reinits: Int, requests: [Int], countedIn: [Int], approvals: [Int], sent: Int,
        counted: Int
    ) throws {
        let outcome = try #require(predict(scenario(source, destination, devices: devices, reinits: reinits)).first)
        #expect(outcome.requests == requests)
        #expect(outcome.countedIn == countedIn)
        #expect(outcome.approvals == approvals)
        #expect(outcome.acksSent == sent)
        #expect(outcome.acksCounted == counted)
    }

    @Test func aREINITTowardsALegacyDestinationIsAMarkerTooMany() {
        #expect(predict(scenario(.new, .legacy, devices: 1, reinits: 1)).map(\.ending) == [.failed])
        #expect(predict(scenario(.new, .new, devices: 1, reinits: 1)).map(\.ending) == [.completed])
    }

    /// Abilities that differ between the sides.
    @Test(arguments: [
        (Ability.none, Ability.precopy, Kind.legacy, Ending.waitsForever), (.none, .precopy, .new, .completed),
        (.none, .reinit, .old, .waitsForever),
        (.precopy, .none, .legacy, .failed), (.precopy, .none, .new, .failed), (.reinit, .precopy, .new, .completed),
        (.precopy, .reinit, .legacy, .completed),
    ])
    func abilitiesThatDiffer(source: Ability, destination: Ability, kind: Kind, ending: Ending) {
        var differing = scenario(kind, kind, devices: 1)
        differing.devices[0] = Scenario.Device(source: source, destination: destination)
        #expect(predict(differing).map(\.ending) == [ending])
    }

    @Test(arguments: [
        // Capability of the source, of the destination, both sides' kind, devices.
        (true, false, Kind.new, 0, Ending.completed), (true, false, .legacy, 0, .waitsForever), (true, false, .new, 1, .failed),
        (true, false, .legacy, 1, .failed), (false, true, .new, 2, .completed), (false, true, .legacy, 0, .completed),
        (false, true, .old, 0, .completed), (false, false, .new, 4, .completed),
    ])
    func theCapabilityOnOneSide(source: Bool, destination: Bool, kind: Kind, devices: Int, ending: Ending) {
        var oneSided = scenario(kind, kind, devices: devices)
        oneSided.source.capability = source
        oneSided.destination.capability = destination
        #expect(predict(oneSided).map(\.ending) == [ending])
    }

    @Test func aSurplusACKWithoutTheCapabilityIsFoundAtTheEnd() {
        var surplus = scenario(.new, .old, devices: 0)
        surplus.source.capability = false
        #expect(predict(surplus).map(\.ending) == [.twoGuests, .failed])
    }

    /// REINIT at the last check fails a per-device source with the number of devices, and nobody else; afterwards nobody notices.
    @Test(arguments: [
        (Kind.new, Scenario.LateReinit.lastCheck, 2, true, Ending.failed), (.new, .lastCheck, 1, false, .completed),
        (.new, .afterCheck, 2, true, .completed), (.legacy, .lastCheck, 1, true, .completed), (.old, .lastCheck, 1, true, .completed),
    ])
    func aLateREINIT(kind: Kind, late: Scenario.LateReinit, devices: Int, hasP2P: Bool, ending: Ending) throws {
        var scenario = scenario(kind, kind, devices: devices)
        scenario.late = late
        for index in scenario.devices.indices { scenario.devices[index].hasP2P = hasP2P }
        let outcome = try #require(predict(scenario).first)
        #expect(outcome.ending == ending)
        #expect(outcome.words == (ending == .failed ? "Switchover ACK was requested by \(devices) devices during switchover" : nil))
    }

    @Test func whatIsRefusedSaysInWhoseWords() {
        var several = scenario(.new, .new, devices: 2)
        several.devices[0].hasP2P = false
        #expect(predict(several).first?.ending == .refused)
        #expect(predict(several).first?.words?.contains("all of them support P2P") == true)
        var alone = several
        alone.devices.removeLast()
        #expect(predict(alone).map(\.ending) == [.completed])
        var old = scenario(.new, .new, devices: 0)
        old.destination.hasSwitchoverAck = false
        #expect(predict(old).first?.words == "switchover-ack")
    }

    @Test func theGateIsExpectedToHoldOnlyWhereAnACKComesAndTheMigrationCompletes() {
        var gated = scenario(.new, .new, devices: 2)
        #expect(predict(gated).map(\.isGating) == [false])
        gated.isGated = true
        #expect(predict(gated).map(\.isGating) == [true])
        var waiting = scenario(.new, .legacy, devices: 2)
        waiting.isGated = true
        #expect(predict(waiting).map(\.isGating) == [false])
    }

    /// Whatever the scenario, something is predicted, and counts fit each other.
    /// Behind the pause before the switchover the handshake is over: what goes wrong there changes no count.
    @Test(
        arguments: [SwitchoverFailure.cancelled, .destinationEnds, .destinationFails],
        [(Kind.new, Kind.new), (.old, .legacy), (.legacy, .old)])
    func whatGoesWrongAfterThePause(failure: SwitchoverFailure, kinds: (Kind, Kind)) throws {
        for devices in [0, 1, 4] {
            var scenario = scenario(kinds.0, kinds.1, devices: devices, reinits: 1)
            scenario.isGated = true
            let completed = try #require(predict(scenario).first)
            scenario.switchoverFailure = failure
            var expected = completed
            expected.ending = .failed
            expected.words = failure == .destinationFails ? "Sibling indicated error 1" : nil
            expected.otherWords = failure == .destinationFails ? "Unable to write to socket" : nil
            #expect(predict(scenario) == [expected])
        }
        // A migration that never reaches the pause does not fail there.
        var stuck = self.scenario(.new, .legacy, devices: 2)
        stuck.switchoverFailure = failure
        #expect(predict(stuck).map(\.ending) == [.waitsForever])
    }

    @Test func stateOnChannelsThatTakeNoneIsLostOneWayOrTheOther() throws {
        var scenario = scenario(.new, .new, devices: 1)
        let completed = try #require(predict(scenario).first)
        scenario.sendsStateUnexpected = true
        let outcomes = predict(scenario)
        #expect(outcomes.map(\.ending) == [.noGuest, .completed])
        #expect(outcomes.allSatisfy { $0.acksCounted == completed.acksCounted && $0.approvals == completed.approvals })
    }

    @Test(arguments: [UInt64(1), 2, 3])
    func everyScenarioHasAnOutcome(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<5000 {
            var any = scenario(Kind.allCases.randomElement(using: &random)!, Kind.allCases.randomElement(using: &random)!, devices: 0)
            for _ in 0..<Int.random(in: 0...4, using: &random) {
                let abilities: [Ability] = [.none, .precopy, .reinit]
                var device = Scenario.Device(
                    source: abilities.randomElement(using: &random)!, destination: abilities.randomElement(using: &random)!)
                device.reinits = device.source == .reinit ? Int.random(in: 0...3, using: &random) : 0
                any.devices.append(device)
            }
            any.source.capability = Bool.random(using: &random)
            any.destination.capability = Bool.random(using: &random)
            let outcomes = predict(any)
            #expect(!outcomes.isEmpty, "seed \(seed): \(any)")
            for outcome in outcomes {
                if let sent = outcome.acksSent, let counted = outcome.acksCounted { #expect(counted <= sent, "seed \(seed): \(any)") }
                if outcome.ending == .completed, any.source.mode == .perDevice, any.source.capability {
                    #expect(outcome.requests?.reduce(0, +) == outcome.acksCounted, "seed \(seed): \(any)")
                }
            }
        }
    }
}
