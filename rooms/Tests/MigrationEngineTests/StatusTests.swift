/// Statuses in whole migrations: every legal one is reached, and none by a change that its generation does not know.
import MigrationTrace
import SwitchoverProtocol
import Testing

@testable import MigrationEngine

@Suite struct StatusTests {
    private static let postcopy: Set<Capability> = [.returnPath, .postcopyRAM]

    /// Memory that is not sent at once, so that a postcopy has something missing.
    private func slow(_ generation: Generation = .v11_1, _ capabilities: Set<Capability> = postcopy) -> EnginePair {
        let pair = EnginePair(generation, mode: .legacy, capabilities, memory: 4, filled: 512)
        pair.source.settings.maxBandwidth = 2 << 20
        pair.source.settings.maxPostcopyBandwidth = 1 << 20
        // Up to 10.0 a postcopy ends, too, when what is left fits the threshold.
        pair.source.settings.availableBandwidth = 1000
        return pair
    }

    private func startPostcopy(_ pair: EnginePair) {
        pair.migrate { pair.status == .active }
        pair.main.request(.startPostcopy)
        pair.run { pair.status == .postcopyActive && pair.incoming.status == .postcopyActive && pair.destination.guestRuns }
    }

    private func cut(_ pair: EnginePair) {
        pair.main.source?.channel.cut()
        pair.run { pair.status == .postcopyPaused && pair.incoming.status == .postcopyPaused }
    }

    /// Each goes its way through the statuses; together they enter every one of 11.1 but colo, on both sides.
    @Test func everyLegalStatusIsReached() {
        var source: Set<MigrationStatus> = [.none]
        var destination: Set<MigrationStatus> = [.none]
        func take(_ name: String, _ pair: EnginePair, _ statuses: [MigrationStatus], _ other: [MigrationStatus]) {
            #expect(pair.sourceStatuses == statuses, "\(name)")
            #expect(pair.destinationStatuses == other, "\(name)")
            #expect(pair.illegalArcs.isEmpty, "\(name)")
            source.formUnion(pair.sourceStatuses)
            destination.formUnion(pair.destinationStatuses)
        }

        let plain = EnginePair()
        plain.migrate()
        take("precopy", plain, [.setup, .active, .device, .completed], [.setup, .active, .completed])

        let unplug = EnginePair { $0 == .source ? [Unplug(delay: 600_000_000)] : [] }
        unplug.migrate()
        take("failover", unplug, [.setup, .waitUnplug, .active, .device, .completed], [.setup, .active, .completed])

        let asking = EnginePair(.v11_1, [.returnPath, .pauseBeforeSwitchover])
        asking.migrate { asking.status == .preSwitchover }
        asking.main.request(.cancel)
        asking.run()
        take(
            "cancel before the switchover", asking, [.setup, .active, .preSwitchover, .cancelling, .cancelled], [.setup, .active, .failed])

        let requesting = EnginePair { _ in [Requester(idstr: "requester", RequesterScript(inFinalQuery: 1))] }
        requesting.migrate()
        take("late request", requesting, [.setup, .active, .device, .failing, .failed], [.setup, .active, .failed])

        let recovered = slow()
        startPostcopy(recovered)
        cut(recovered)
        // The first attempt to recover finds nobody.
        recovered.isDeaf = true
        recovered.main.request(.resume)
        recovered.run { recovered.main.isIdle }
        recovered.isDeaf = false
        recovered.source.settings.maxPostcopyBandwidth = 0
        recovered.main.request(.resume)
        recovered.run()
        take(
            "postcopy", recovered,
            [
                .setup, .active, .device, .postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecoverSetup, .postcopyPaused,
                .postcopyRecoverSetup, .postcopyRecover, .postcopyActive, .completed,
            ],
            [
                .setup, .active, .postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecover, .postcopyActive, .completed,
            ])

        #expect(source == Set(MigrationStatus.allCases).subtracting([.colo]))
        #expect(
            destination == [
                .none, .setup, .active, .postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecover, .completed, .failed,
            ])
    }

    /// A channel that breaks once more while it is being recovered pauses both sides again, and a third one ends it.
    @Test func aRecoveryThatFailsIsPausedAgain() {
        let pair = slow()
        startPostcopy(pair)
        cut(pair)
        pair.main.request(.resume)
        #expect(pair.run { pair.status == .postcopyRecover && pair.incoming.status == .postcopyRecover })
        cut(pair)
        #expect(pair.status == .postcopyPaused && pair.incoming.status == .postcopyPaused)
        pair.source.settings.maxPostcopyBandwidth = 0
        pair.main.request(.resume)
        pair.run()
        #expect(pair.status == .completed && pair.incoming.status == .completed)
        #expect(pair.illegalArcs.isEmpty)
    }

    /// A connection that has no way back is refused, the migration stays paused, and another may be tried.
    @Test func aRecoveryWithoutAReturnPathIsRefused() throws {
        let pair = slow(.v11_1.corrected)
        startPostcopy(pair)
        cut(pair)
        let connect = try #require(pair.main.destination)
        pair.main.destination = { Channel(.pipe) }
        pair.main.request(.resume)
        pair.run { pair.main.isIdle }
        #expect(pair.main.refusal == "A pipe has no return path")
        #expect(pair.status == .postcopyPaused)
        pair.main.destination = connect
        pair.source.settings.maxPostcopyBandwidth = 0
        pair.main.request(.resume)
        pair.run()
        #expect(pair.status == .completed && pair.incoming.status == .completed)
        #expect(pair.illegalArcs.isEmpty)
    }

    /// Every generation changes its statuses by its own table, in precopy and in postcopy with a recovery.
    @Test(arguments: Generation.all) func everyGenerationKeepsToItsTable(generation: Generation) {
        let plain = EnginePair(generation, mode: .legacy, [.returnPath])
        plain.migrate()
        #expect(plain.status == .completed && plain.illegalArcs.isEmpty)

        let asking = EnginePair(generation, mode: .legacy, [.returnPath, .pauseBeforeSwitchover])
        asking.migrate { asking.status == .preSwitchover }
        asking.main.request(.proceed)
        asking.run()
        #expect(asking.sourceStatuses == [.setup, .active, .preSwitchover, .device, .completed] && asking.illegalArcs.isEmpty)

        let pair = slow(generation)
        startPostcopy(pair)
        cut(pair)
        pair.source.settings.maxPostcopyBandwidth = 0
        pair.main.request(.resume)
        pair.run()
        #expect(pair.status == .completed && pair.incoming.status == .completed && pair.illegalArcs.isEmpty)
        #expect(pair.sourceStatuses.contains(.postcopyDevice) == generation.has(.postcopyDevice))
        #expect(pair.sourceStatuses.contains(.postcopyRecoverSetup) == generation.has(.postcopyRecoverSetup))
        #expect(plain.sourceStatuses.contains(.device) == generation.has(.switchoverInDevice))
    }

    /// The guest is polled four times a second; one that never lets go is waited for until the migration is cancelled.
    @Test(arguments: [(UInt64?.some(0), false, 0 as UInt64), (1, true, 0), (600_000_000, true, 3), (nil, true, 40)])
    func aDeviceIsWaitedForUntilItIsUnplugged(delay: UInt64?, waits: Bool, polls: UInt64) {
        let unplug = Unplug(delay: delay)
        let pair = EnginePair { $0 == .source ? [unplug] : [] }
        pair.migrate { pair.sourceStatuses.contains(.waitUnplug) || pair.status == .completed }
        #expect(pair.sourceStatuses.contains(.waitUnplug) == waits)
        let began = pair.simulation.clock.now
        if delay == nil {
            pair.run { pair.simulation.clock.now >= began + polls * 250_000_000 }
            #expect(pair.status == .waitUnplug)
            pair.main.request(.cancel)
            pair.run()
            #expect(pair.sourceStatuses == [.setup, .waitUnplug, .cancelling, .cancelled])
            #expect(pair.source.guestRuns)
        } else if waits {
            #expect(pair.run { pair.status == .active })
            let passed = pair.simulation.clock.now - began
            #expect(passed >= polls * 250_000_000 && passed < (polls + 1) * 250_000_000)
        }
        #expect(pair.illegalArcs.isEmpty)
    }

    /// In v2 the final query is told of requests alone, by modules that it asks all the same.
    @Test(arguments: [(Generation.v2, 0 as UInt64), (.v11_1, 16)]) func whatTheFinalQueryIsTold(generation: Generation, pending: UInt64)
        throws
    {
        let pair = EnginePair(generation, [.returnPath, .dirtyBitmaps]) { role in
            [DirtyBitmaps(nodes: ["n0": 1 << 20], role == .source ? [BlockBitmap(node: "n0", name: "b0", size: 1 << 20)] : [])]
        }
        pair.migrate()
        #expect(pair.status == .completed)
        let totals = pair.sourceLog.events.compactMap { event -> UInt64? in
            if case .qemuSavevmQueryPending(let query) = event, query.final { query.total } else { nil }
        }
        #expect(totals == [pending])
    }

    /// A device's state is sent with the switchover. A release counts its estimate on, so that a postcopy of block bitmaps never ends.
    @Test(arguments: [(Generation.v11_1, false), (.v11_1.corrected, true)]) func aSentDeviceIsCountedOn(generation: Generation, ends: Bool)
        throws
    {
        let pair = EnginePair(generation, [.returnPath, .dirtyBitmaps]) { role in
            [DirtyBitmaps(nodes: ["n0": 1 << 20], role == .source ? [BlockBitmap(node: "n0", name: "b0", size: 1 << 20)] : [])]
        }
        try pair.source.plug("v0", pair.sourceLog, "stop-copy 32K")
        try pair.destination.plug("v0", pair.destinationLog)
        pair.source.settings.maxBandwidth = 4 << 10
        pair.migrate { pair.status == .active }
        pair.main.request(.startPostcopy)
        pair.source.settings.maxBandwidth = 0
        pair.run { pair.status == .postcopyActive && pair.destination.guestRuns }
        #expect(pair.status == .postcopyActive)
        pair.run()
        #expect((pair.status == .completed) == ends)
        #expect(pair.illegalArcs.isEmpty)
    }

    @Test func replicationIsRefused() {
        let pair = EnginePair(.v11_1, [.returnPath, .colo])
        pair.migrate()
        #expect(pair.main.refusal == "COLO is not supported: this engine does not replicate a running guest")
        #expect(pair.status == .none && pair.source.guestRuns)
    }

    /// A change that the generation does not know is not made, and is not lost.
    @Test func anIllegalChangeIsKept() {
        let pair = EnginePair()
        pair.migrate { pair.status == .active }
        #expect(pair.main.source?.change(.active, to: .postcopyActive) == false)
        #expect(pair.status == .active)
        #expect(pair.source.illegalArcs == [StatusArc(.active, .postcopyActive)])
        // One that finds another status is none.
        #expect(pair.main.source?.change(.setup, to: .active) == false)
        #expect(pair.source.illegalArcs.count == 1)
    }
}
