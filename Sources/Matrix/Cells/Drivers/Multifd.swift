/// Migrations over several channels: guest memory on all of them, and the state of stopped devices as well, where devices have that set.
///
/// A device's precopy data and its marker stay on the main channel (10.0.13 and 11.1.3), so that no marker overtakes data.
import Plan
import Prediction

extension Driver {
    static let multifdDrivers = [
        Driver("multifd-2", "two channels beside the main one, with device state on them") { draft in
            try draft.addChannels(2)
            draft.transfer("on")
        },
        Driver("multifd-4", "four channels beside the main one, with device state on them") { draft in
            try draft.addChannels(4)
            draft.transfer("on")
        },
        Driver("multifd-memory-only", "two channels beside the main one, with device state on that") { draft in
            try draft.addChannels(2)
            draft.transfer("off")
        },
        Driver("multifd-config-last", "two channels, and each device's config space loaded after all its data") { draft in
            try draft.addChannels(2)
            draft.transfer("on")
            draft.set("x-migration-load-config-after-iter", "on")
        },
        Driver("multifd-raised", "two channels, and their number raised while only the ACK is missing") { draft in
            try draft.addChannels(2)
            draft.transfer("on")
            guard draft.held != nil else { return }
            draft.scenario.breakage = .channelsRaised
            // The answer may or may not come before the end of the process.
            draft.plan.leg.schedule.removeAll { $0 == .open(.destination, gate: "load") }
            draft.plan.leg.schedule.append(.request(.source, command: "migrate-set-parameters", ["multifd-channels": 4]))
        },
        Driver("multifd-source-alone", "two channels; the source puts device state on them, and the destination expects none there") {
            draft in
            try draft.addChannels(2)
            guard let held = draft.held else { return }
            draft.scenario.sendsStateUnexpected = true
            draft.plan.source.deviceProperties[transferProperty] = "on"
            draft.plan.leg.destination.deviceProperties[transferProperty] = "off"
            // The destination's main thread waits for the channels no more, and notices only when everything has been sent.
            let precopy = draft.recipe.precopySize(draft.scenario.devices[held])
            try draft.script(.source, held, add: "on read \(precopy + 1) do hold send")
            draft.plan.leg.schedule += [
                .wait(.held(.source, device: "v\(held)")), .wait(.logged(.destination, event: "vmstate_downtime_load", times: 1)),
                .haltDestination, .open(.source, gate: "send"),
                .wait(.logged(.source, event: "migration_return_path_end_before", times: 1)),
                .resumeDestination,
            ]
        },
    ]
}

private let transferProperty = "x-migration-multifd-transfer"

/// Queries after which the first window, which has a hundred at most, is over.
private let patience: UInt64 = 150

extension Draft {
    fileprivate mutating func addChannels(_ count: Int64) throws {
        plan.source.capabilities["multifd"] = true
        plan.leg.destination.capabilities["multifd"] = true
        plan.source.parameters["multifd-channels"] = .integer(count)
        plan.leg.destination.parameters["multifd-channels"] = .integer(count)
        // Every round of the source ends with a packet on each channel. While the destination's main loop is held nothing reads them, and
        // some four hundred rounds fit in. So rounds are kept few: by the bandwidth where a source does not query its devices yet (10.0.13
        // in the first window), else by the cost of a query. They are counted from the first one.
        plan.source.parameters["max-bandwidth"] = .integer(2 << 20)
        plan.leg.haltsDestination = false
        guard let held else {
            gateNothing()
            return
        }
        try script(.source, held, add: "cost precopy-info 1ms")
        plan.leg.schedule = plan.leg.schedule.flatMap { step -> [ScheduleStep] in
            switch step {
            case .wait(.furtherQueries): [.wait(.queries(.source, device: "v\(held)", patience))]
            default: [step]
            }
        }
    }

    /// Sets whether stopped devices send their state on the channels.
    fileprivate mutating func transfer(_ value: String) { set(transferProperty, value) }

    fileprivate mutating func set(_ property: String, _ value: String) {
        plan.source.deviceProperties[property] = value
        plan.leg.destination.deviceProperties[property] = value
    }
}
