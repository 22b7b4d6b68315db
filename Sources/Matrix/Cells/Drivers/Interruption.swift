/// Stops and resets of the source's guest or of a device during a migration, while a gate holds the migration where it is.
import Plan
import Prediction

extension Driver {
    static let interruptionDrivers = [
        Driver("stop-before-marker", "the guest is stopped before a marker is sent") { draft in
            try draft.interrupt(.stopBeforeMarker, by: [.execute(.source, command: "stop", nil)])
            draft.plan.leg.schedule.append(.open(.destination, gate: "load"))
        },
        Driver("stop-cont-before-marker", "the guest is stopped and continued before a marker is sent") { draft in
            try draft.interrupt(.stopAndContBeforeMarker, by: stopAndCont)
            draft.plan.leg.schedule.append(.open(.destination, gate: "load"))
        },
        Driver("start-before-marker", "the guest is started, for the first time, before a marker is sent") { draft in
            draft.plan.source.startsPaused = true
            try draft.interrupt(.stopAndContBeforeMarker, by: [.execute(.source, command: "cont", nil)])
            draft.plan.leg.schedule.append(.open(.destination, gate: "load"))
        },
        Driver("stop-cont-waiting", "the guest is stopped and continued while only the ACK is missing; then migrated again") { draft in
            try draft.whileOnlyTheLastACKIsMissing(stopAndCont)
            draft.plan.leg.schedule.append(.open(.destination, gate: "load"))
            try draft.migrateAgain { $0.interruption = .stopAndContWaiting }
        },
        Driver("stop-cont-after-acks", "the guest is stopped and continued between the last ACK and the decision") { draft in
            try draft.whileOnlyTheLastACKIsMissing(draft.everyACKComes + stopAndCont)
            draft.scenario.interruption = .stopAndContAfterACKs
        },
        Driver("reset-before-marker", "the guest is reset before a marker is sent") { draft in
            try draft.noDirtyTracking()
            try draft.interrupt(.resetBeforeMarker, by: draft.systemReset)
        },
        Driver("reset-after-acks", "the guest is reset after the last ACK, while the source still iterates") { draft in
            try draft.noDirtyTracking()
            // The source must not decide before the reset, so the estimate is raised first.
            for device in draft.devices { try draft.script(.source, device, add: "on gate raise do estimate stop-copy 1G") }
            try draft.whileOnlyTheLastACKIsMissing(
                after: [.open(.source, gate: "raise"), .wait(.furtherQueries(.source, device: "v0", 2))],
                draft.everyACKComes + draft.systemReset)
            draft.scenario.interruption = .resetAfterACKs
        },
        Driver("device-reset-waiting", "one device is reset alone while only the ACK is missing; then migrated again") { draft in
            try draft.noDirtyTracking()
            try draft.script(.source, 0, add: "on gate reset do reset")
            draft.plan.leg.schedule = try draft.onlyTheLastACKIsMissing() + [.open(.source, gate: "reset")]
            try draft.migrateAgain { $0.interruption = .deviceResetWaiting }
        },
        Driver("device-reset-stopping", "one device is reset alone after the last check, in PRE_COPY_P2P") { draft in
            try draft.noDirtyTracking()
            try draft.script(.source, 0, add: "on state PRE_COPY_P2P do reset")
            draft.scenario.interruption = .deviceResetStopping
        },
    ]
}

private let stopAndCont: [ScheduleStep] = [.execute(.source, command: "stop", nil), .execute(.source, command: "cont", nil)]

extension Draft {
    fileprivate var devices: Range<Int> { plan.source.devices.indices }

    /// Switches dirty tracking off. A reset ends it as well, and chance would decide which of the two QEMU notices first.
    fileprivate mutating func noDirtyTracking() throws {
        for device in devices { try script(.source, device, add: "dirty-tracking no") }
    }

    /// Steps that reset the guest, and wait for it: QEMU resets some time after it has answered.
    fileprivate var systemReset: [ScheduleStep] {
        [.execute(.source, command: "system_reset", nil)] + devices.map { .wait(.leftPrecopy(.source, device: "v\($0)")) }
    }

    /// Takes the steps before any device has sent its marker: while the first device's first read is held, which leaves some of its initial
    /// bytes to be read.
    fileprivate mutating func interrupt(_ interruption: Interruption, by steps: [ScheduleStep]) throws {
        scenario.interruption = interruption
        try script(.source, 0, add: "on call read when=1 do short \(initialSize / 4)\non call read when=1 do hold interruption")
        plan.leg.schedule = [.wait(.held(.source, device: "v0"))] + steps + [.open(.source, gate: "interruption")]
    }

    /// Takes the steps while only the last ACK is missing and a query of the first device is held.
    fileprivate mutating func whileOnlyTheLastACKIsMissing(after first: [ScheduleStep] = [], _ steps: [ScheduleStep]) throws {
        try script(.source, 0, add: "on gate-query interrupt 1 do hold interruption")
        plan.leg.schedule =
            try onlyTheLastACKIsMissing() + first + [.open(.source, gate: "interrupt"), .wait(.held(.source, device: "v0"))] + steps
            + [.open(.source, gate: "interruption")]
    }
}
