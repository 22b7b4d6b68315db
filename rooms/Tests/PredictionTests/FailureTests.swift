import Testing

@testable import Prediction

/// What comes of a break, as it was measured on 10.0.13 and 11.1.3.
@Suite struct FailureTests {
    enum Kind: CaseIterable {
        case old, legacy, new

        var side: Scenario.Side { Scenario.Side(knowsPerDevice: self != .old, mode: self == .new ? .perDevice : .legacy) }
    }

    private func outcome(_ kind: Kind, _ breakage: Breakage, devices: Int = 1, reinits: Int = 0, isPaused: Bool = false) throws -> Outcome {
        var scenario = Scenario(source: kind.side, destination: kind.side)
        scenario.destination.startsPaused = isPaused
        scenario.devices = (0..<devices).map { _ in
            var device = Scenario.Device(source: .reinit, destination: .reinit)
            device.reinits = reinits
            return device
        }
        scenario.isGated = true
        scenario.breakage = breakage
        let outcomes = predict(scenario)
        #expect(outcomes.count == 1)
        return try #require(outcomes.first)
    }

    /// Moments in order, and the endings of a killed destination, a killed source, a cut channel and a cut return path.
    @Test(arguments: [
        (BreakMoment.initialData, [Ending.failed, .noGuest, .failed, .waitsForever]),
        (.waiting, [.failed, .noGuest, .failed, .waitsForever]),
        (.acknowledged, [.failed, .noGuest, .failed, .twoGuests]),
        (.decided, [.failed, .noGuest, .failed, .twoGuests]),
        (.stopCopy, [.failed, .noGuest, .failed, .twoGuests]),
        (.finalData, [.failed, .completed, .twoGuests, .twoGuests]),
        (.starting, [.failed, .completed, .twoGuests, .twoGuests]),
    ])
    func theMomentDecides(moment: BreakMoment, endings: [Ending]) throws {
        for kind in Kind.allCases {
            let breaks: [Breakage] = [
                .destinationKilled(moment), .sourceKilled(moment), .channelCut(moment), .returnPathCut(moment),
            ]
            #expect(try breaks.map { try outcome(kind, $0).ending } == endings, "\(kind)")
        }
    }

    /// Of two devices, each with a REINIT: requests, approvals, ACKs sent and counted, before and after the last ACK.
    @Test func countsGoUpToTheMoment() throws {
        let waiting = try outcome(.new, .destinationKilled(.waiting), devices: 2, reinits: 1)
        #expect((waiting.requests, waiting.approvals) == ([2, 2], [2, 1]))
        #expect((waiting.acksSent, waiting.acksCounted) == (3, 3))
        let decided = try outcome(.new, .destinationKilled(.decided), devices: 2, reinits: 1)
        #expect((decided.approvals, decided.acksSent, decided.acksCounted) == ([2, 2], 4, 4))
        for kind in [Kind.old, .legacy] {
            let waiting = try outcome(kind, .destinationKilled(.waiting), devices: 2)
            #expect((waiting.requests, waiting.countedIn) == ([0, 0], [1, 1]))
            #expect((waiting.approvals, waiting.acksSent, waiting.acksCounted) == ([1, 0], 0, 0))
            // What a killed source has sent is still read, approved and answered; it counts nothing any more.
            let killed = try outcome(kind, .sourceKilled(.waiting), devices: 2)
            #expect((killed.approvals, killed.acksSent, killed.acksCounted) == ([1, 1], 1, 0))
        }
    }

    @Test func aPausedDestinationWouldRunASecondGuest() throws {
        for breakage in [Breakage.channelCut(.finalData), .returnPathCut(.finalData)] {
            #expect(try outcome(.new, breakage, isPaused: true).ending == .wouldRunTwoGuests)
        }
    }

    /// By call: the ending of an old binary, and of a new one in legacy and in per-device mode.
    static let endings: [(FailingCall, [Ending])] = [
        (.sourceBind, [.refused, .refused, .refused]), (.sourceInfo, [.refused, .refused, .refused]),
        (.sourceConfigSpace, [.refused, .refused, .refused]), (.sourceIRQInfo, [.completed, .completed, .completed]),
        (.sourceMigration, [.refused, .refused, .refused]), (.sourcePrecopyInfoV2, [.completed, .refused, .refused]),
        (.sourceProbe, [.completed, .completed, .completed]), (.sourceBootState, [.completed, .completed, .completed]),
        (.sourceDMALoggingStart, [.failed, .failed, .failed]), (.sourceDMALoggingReport, [.failed, .failed, .failed]),
        (.sourceFirstDataSize, [.completed, .completed, .completed]), (.sourcePreCopy, [.failed, .failed, .failed]),
        (.sourceFirstPrecopyInfo, [.completed, .completed, .completed]),
        (.sourceDataSize, [.doesNotConverge, .doesNotConverge, .doesNotConverge]),
        (.sourcePrecopyInfo, [.completed, .completed, .failed]), (.sourceRead, [.failed, .failed, .failed]),
        (.sourceLaterRead, [.failed, .failed, .failed]), (.sourcePreCopyP2P, [.failed, .failed, .failed]),
        (.sourceStopCopy, [.failed, .failed, .failed]), (.sourceFinalRead, [.failed, .failed, .failed]),
        (.sourceSavedConfig, [.completed, .completed, .completed]), (.sourceStop, [.completed, .completed, .completed]),
        (.destinationMigration, [.failed, .failed, .failed]), (.destinationResuming, [.failed, .failed, .failed]),
        (.destinationWrite, [.failed, .failed, .failed]), (.destinationFinalWrite, [.failed, .failed, .failed]),
        (.destinationLoadedConfig, [.completed, .completed, .completed]),
        (.destinationRunningP2P, [.completed, .completed, .completed]), (.destinationRunning, [.completed, .completed, .completed]),
    ]

    @Test func eachCallHasItsEnding() throws {
        #expect(Self.endings.map(\.0) == FailingCall.allCases)
        for (call, expected) in Self.endings {
            let breakage = Breakage.call(call, errno: "EIO", resetFails: false)
            #expect(try Kind.allCases.map { try outcome($0, breakage).ending } == expected, "\(call)")
        }
    }

    /// The errno decides for reads, which ENOMSG ends, and for MIG_PRECOPY_INFOv2, which a kernel may lack.
    @Test func theErrnoMattersForReadsAndForAFeature() throws {
        let meaningful: [FailingCall: String] = [
            .sourcePrecopyInfoV2: "ENOTTY", .sourceRead: "ENOMSG", .sourceFinalRead: "ENOMSG", .sourceLaterRead: "ENOMSG",
        ]
        for (call, expected) in Self.endings {
            for errno in ["EINVAL", "ENOMEM", "ENOTTY", "EBUSY", "EAGAIN", "EINTR", "ENODEV", "ENOMSG"] {
                let ending = try outcome(.new, .call(call, errno: errno, resetFails: false)).ending
                #expect(ending == (meaningful[call] == errno ? .completed : expected[2]), "\(call) \(errno)")
            }
        }
    }

    @Test func aResetThatFailsEndsTheProcess() throws {
        for (call, expected) in [
            (FailingCall.sourcePreCopyP2P, Ending.noGuest), (.sourceStopCopy, .noGuest), (.sourceStop, .completed),
            (.destinationRunningP2P, .failed), (.destinationRunning, .failed),
        ] {
            for kind in Kind.allCases {
                let outcome = try outcome(kind, .call(call, errno: "EIO", resetFails: true))
                #expect(outcome.ending == expected, "\(call) \(kind)")
                // A process that aborts may take the line of an ACK along.
                #expect((outcome.acksCounted == nil) == (expected == .noGuest), "\(call) \(kind)")
            }
        }
    }

    /// What fails before the last device's data is loaded leaves the other devices' counts to chance.
    @Test func whatDependsOnWhoIsFasterIsLeftOpen() throws {
        let alone = try outcome(.new, .call(.sourceRead, errno: "EIO", resetFails: false))
        #expect((alone.requests, alone.approvals, alone.acksSent, alone.acksCounted) == ([1], [0], 0, 0))
        let beside = try outcome(.new, .call(.sourceRead, errno: "EIO", resetFails: false), devices: 2)
        #expect(beside.requests == [1, 1])
        #expect(beside.approvals == nil && beside.acksSent == nil && beside.acksCounted == nil)
        let legacy = try outcome(.legacy, .call(.destinationWrite, errno: "EIO", resetFails: false), devices: 2)
        #expect((legacy.acksSent, legacy.acksCounted) == (0, 0))
    }

    @Test func descriptorsRunOut() throws {
        for free in [0, 1] {
            let source = try outcome(.new, .sourceDescriptors(free), devices: 2)
            #expect((source.ending, source.words, source.requests) == (.failed, "Too many open files", [0, 0]))
        }
        // Which may be opened again later.
        let waits = try outcome(.new, .destinationDescriptors(0))
        #expect((waits.ending, waits.isGating, waits.acksCounted) == (.completed, true, 1))
        #expect(try outcome(.new, .destinationDescriptors(1)).ending == .failed)
    }
}
