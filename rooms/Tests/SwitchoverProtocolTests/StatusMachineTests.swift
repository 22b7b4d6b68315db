/// Every pair of statuses in every generation, on both sides, against tables written out here.
import Testing

@testable import SwitchoverProtocol

@Suite struct StatusMachineTests {
    /// Of each status, in 11.1, where it may go.
    static let newSource = """
        none: setup
        setup: wait-unplug active failing cancelling
        wait-unplug: active failing cancelling
        active: pre-switchover device failing cancelling
        pre-switchover: device failing cancelling
        device: completed postcopy-device postcopy-active colo failing cancelling
        postcopy-device: postcopy-active failing
        postcopy-active: completed postcopy-paused failing
        postcopy-paused: postcopy-recover-setup
        postcopy-recover-setup: postcopy-recover postcopy-paused
        postcopy-recover: postcopy-active postcopy-paused
        colo: completed failing cancelling
        completed:
        cancelling: cancelled
        cancelled:
        failing: failed cancelling
        failed:
        """
    /// In 10.2: an error fails it directly.
    static let sourceWithoutFailing = """
        none: setup
        setup: wait-unplug active failed cancelling
        wait-unplug: active failed cancelling
        active: pre-switchover device failed cancelling
        pre-switchover: device failed cancelling
        device: completed postcopy-device postcopy-active colo failed cancelling
        postcopy-device: postcopy-active failed
        postcopy-active: completed postcopy-paused failed
        postcopy-paused: postcopy-recover-setup
        postcopy-recover-setup: postcopy-recover postcopy-paused
        postcopy-recover: postcopy-active postcopy-paused
        colo: completed failed cancelling
        completed:
        cancelling: cancelled
        cancelled:
        failed:
        """
    /// In 10.0 and 10.1: postcopy is active as soon as the package is sent.
    static let sourceWithoutPostcopyDevice = """
        none: setup
        setup: wait-unplug active failed cancelling
        wait-unplug: active failed cancelling
        active: pre-switchover device failed cancelling
        pre-switchover: device failed cancelling
        device: completed postcopy-active colo failed cancelling
        postcopy-active: completed postcopy-paused failed
        postcopy-paused: postcopy-recover-setup
        postcopy-recover-setup: postcopy-recover postcopy-paused
        postcopy-recover: postcopy-active postcopy-paused
        colo: completed failed cancelling
        completed:
        cancelling: cancelled
        cancelled:
        failed:
        """
    /// In 8.1 only a switchover that pauses has the status device, and a recovery none for its connection.
    static let oldestSource = """
        none: setup
        setup: wait-unplug active failed cancelling
        wait-unplug: active failed cancelling
        active: pre-switchover completed postcopy-active failed cancelling
        pre-switchover: device postcopy-active failed cancelling
        device: completed colo failed cancelling
        postcopy-active: completed postcopy-paused failed
        postcopy-paused: postcopy-recover
        postcopy-recover: postcopy-active postcopy-paused
        colo: completed failed cancelling
        completed:
        cancelling: cancelled
        cancelled:
        failed:
        """
    /// 11.1.3 logs no postcopy-recover-setup at a destination.
    static let newDestination = """
        none: setup
        setup: active
        active: completed failed postcopy-device postcopy-active colo
        postcopy-device: postcopy-active failed
        postcopy-active: completed postcopy-paused failed
        postcopy-paused: postcopy-recover
        postcopy-recover: postcopy-active postcopy-paused
        colo: completed failed
        completed:
        failed:
        """
    static let destinationWithoutPostcopyDevice = """
        none: setup
        setup: active
        active: completed failed postcopy-active colo
        postcopy-active: completed postcopy-paused failed
        postcopy-paused: postcopy-recover
        postcopy-recover: postcopy-active postcopy-paused
        colo: completed failed
        completed:
        failed:
        """
    static let tables: [(String, Side, String)] = [
        ("8.1", .source, oldestSource), ("10.0", .source, sourceWithoutPostcopyDevice), ("10.1", .source, sourceWithoutPostcopyDevice),
        ("10.2", .source, sourceWithoutFailing),
        ("11.0", .source, newSource), ("v1", .source, newSource), ("v2", .source, newSource), ("11.1", .source, newSource),
        ("postcopy-device-v1", .source, sourceWithoutFailing), ("request-message", .source, newSource),
        ("11.1-corrected", .source, newSource),
        ("8.1", .destination, destinationWithoutPostcopyDevice), ("10.0", .destination, destinationWithoutPostcopyDevice),
        ("10.1", .destination, destinationWithoutPostcopyDevice),
        ("10.2", .destination, newDestination), ("11.0", .destination, newDestination), ("v1", .destination, newDestination),
        ("v2", .destination, newDestination), ("11.1", .destination, newDestination),
        ("postcopy-device-v1", .destination, newDestination), ("request-message", .destination, newDestination),
    ]

    static func read(_ text: String) throws -> [Status: Set<Status>] {
        var table: [Status: Set<Status>] = [:]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", omittingEmptySubsequences: false)
            let from = try #require(Status(rawValue: String(parts[0])))
            table[from] = try Set(parts[1].split(separator: " ").map { try #require(Status(rawValue: String($0))) })
        }
        return table
    }

    @Test func everyGenerationHasItsTables() {
        for side in [Side.source, .destination] {
            let named = Self.tables.filter { $0.1 == side && !$0.0.hasSuffix("-corrected") }.map(\.0)
            #expect(named == Generation.all.map(\.name))
        }
    }

    /// All pairs: the machine is led to each status along the table's own arcs, and tried with each other.
    @Test(arguments: tables) func allPairs(name: String, side: Side, text: String) throws {
        let generation = try #require(Generation(named: name))
        let table = try Self.read(text)
        var reached: [Status: StatusMachine] = [.none: StatusMachine(generation, side)]
        var queue = [Status.none]
        while let from = queue.popLast() {
            for to in table[from] ?? [] where reached[to] == nil {
                var machine = reached[from]!
                #expect(machine.change(from: from, to: to) == true, "\(from.rawValue) -> \(to.rawValue)")
                reached[to] = machine
                queue.append(to)
            }
        }
        #expect(Set(reached.keys) == Set(table.keys), "every status of the table is reached")
        for (from, machine) in reached {
            #expect(machine.status == from)
            #expect(machine.illegal == nil)
            #expect(from.exists(in: generation))
            for to in Status.allCases {
                var trial = machine
                let isLegal = table[from]!.contains(to)
                #expect(trial.change(from: from, to: to) == isLegal, "\(from.rawValue) -> \(to.rawValue)")
                #expect(trial.status == (isLegal ? to : from))
                #expect(trial.illegal == (isLegal ? nil : StatusArc(from, to)))
            }
        }
        for from in Status.allCases where table[from] == nil {
            for to in Status.allCases { #expect(!StatusArcs.legal(from, to, generation, side), "\(from.rawValue) is not in the table") }
        }
    }

    /// A swap that does not match is silent, legal or not.
    @Test func compareAndSwap() {
        var machine = StatusMachine(.v11_1, .source)
        for from in Status.allCases where from != .none {
            for to in Status.allCases { #expect(machine.change(from: from, to: to) == false) }
        }
        #expect(machine.status == .none)
        #expect(machine.illegal == nil)
    }

    /// The first illegal change is the one that is kept, and what follows goes on.
    @Test func keepsTheFirstIllegal() {
        var machine = StatusMachine(.v11_1, .source)
        machine.change(from: .none, to: .completed)
        machine.change(from: .none, to: .setup)
        machine.change(from: .setup, to: .device)
        #expect(machine.illegal == StatusArc(.none, .completed))
        #expect(machine.status == .setup)
    }

    /// running, active, in postcopy, failed, final.
    static let kinds: [(Status, String)] = [
        (.none, ""), (.setup, "r"), (.waitUnplug, "r"), (.active, "ra"), (.preSwitchover, "r"), (.device, "r"), (.postcopyDevice, "rap"),
        (.postcopyActive, "rap"), (.postcopyPaused, "rp"), (.postcopyRecoverSetup, "rp"), (.postcopyRecover, "rp"), (.colo, "r"),
        (.completed, "e"), (.cancelling, "rf"), (.cancelled, "fe"), (.failing, "rf"), (.failed, "fe"),
    ]

    @Test func kindsOfStatuses() {
        #expect(Self.kinds.map(\.0) == Status.allCases)
        for (status, letters) in Self.kinds {
            #expect(status.isRunning == letters.contains("r"), "\(status.rawValue)")
            #expect(status.isActive == letters.contains("a"), "\(status.rawValue)")
            #expect(status.isInPostcopy == letters.contains("p"), "\(status.rawValue)")
            #expect(status.hasFailed == letters.contains("f"), "\(status.rawValue)")
            #expect(status.isFinal == letters.contains("e"), "\(status.rawValue)")
        }
    }

    /// Who goes on connecting: by age, and by what is overlooked.
    @Test(arguments: Generation.all) func whoConnects(_ generation: Generation) {
        var expected: Set<Status> = [.setup, .postcopyRecoverSetup, .postcopyRecover]
        switch generation.name {
        case "8.1": expected.formUnion([.cancelled, .postcopyPaused])
        case "10.0", "10.1", "10.2", "11.0", "postcopy-device-v1": expected.insert(.cancelled)
        default: expected.insert(.cancelling)
        }
        #expect(Set(Status.allCases.filter { $0.connects(in: generation) }) == expected, "\(generation.name)")
    }
}

/// A machine led to a status along its own arcs.
func machine(_ generation: Generation, _ side: Side, at status: Status) -> StatusMachine? {
    var seen: Set<Status> = [.none]
    var queue = [StatusMachine(generation, side)]
    while !queue.isEmpty {
        let machine = queue.removeFirst()
        if machine.status == status { return machine }
        for next in Status.allCases where StatusArcs.legal(machine.status, next, generation, side) && seen.insert(next).inserted {
            var moved = machine
            moved.change(from: machine.status, to: next)
            queue.append(moved)
        }
    }
    return nil
}
