/// Processes that die, channels that break, device calls that fail, descriptors that run out. Gates and log lines make the moment certain.
import Plan
import Prediction
import VFIO

extension Driver {
    static let failureDrivers = [
        Driver("destination-killed", "the destination's process is killed at the moment on the axis `when`") { draft in
            try draft.breaks(Breakage.destinationKilled, [.kill(.destination)])
        },
        Driver("source-killed", "the source's process is killed at the moment on the axis `when`") { draft in
            try draft.breaks(Breakage.sourceKilled, [.kill(.source)])
        },
        Driver("source-yanked", "the manager has the source give its channel up, by QMP yank, at the moment on the axis `when`") { draft in
            try draft.breaks(Breakage.channelCut, [.yank(.source)])
        },
        Driver("channel-cut", "the network between the sides breaks at the moment on the axis `when`, without a command") { draft in
            draft.plan.leg.channel = .relayed
            try draft.breaks(Breakage.channelCut, [.cut(.whole)])
        },
        Driver("return-path-cut", "the destination's messages no longer reach the source, from the moment on the axis `when` on") { draft in
            draft.plan.leg.channel = .relayed
            try draft.breaks(Breakage.returnPathCut, [.cut(.returnPath)])
        },
        Driver("call-fails", "the call on the axis `call` fails on the last device, with the errno on the axis `errno`") { draft in
            try draft.failsCall()
        },
        Driver("source-one-descriptor", "the source may open one descriptor more, which its socket takes") { draft in
            draft.limitDescriptors(of: .source, free: 1)
            draft.plan.leg.schedule = []
        },
        Driver("source-no-descriptor", "the source may open no descriptor more") { draft in
            draft.limitDescriptors(of: .source, free: 0)
            draft.plan.leg.schedule = []
        },
        Driver("source-no-memory", "the source's memory cgroup leaves it none for a migration") { draft in
            draft.scenario.breakage = .sourceMemory
            draft.plan.leg.before.append(.limitMemory(.source))
            draft.plan.leg.schedule = []
        },
        Driver("destination-one-descriptor", "the destination may open one descriptor more, which its socket takes") { draft in
            draft.limitDescriptors(of: .destination, free: 1)
            draft.plan.leg.schedule = []
        },
        Driver("destination-no-descriptor", "the destination may open no descriptor more until the source has written for long") { draft in
            let held = try draft.heldByGate()
            draft.limitDescriptors(of: .destination, free: 0)
            draft.plan.leg.schedule =
                [.wait(.furtherQueries(.source, device: "v\(held)", 50)), .limitDescriptors(.destination, free: nil)]
                + draft.plan.leg.schedule
        },
    ]
}

extension Draft {
    /// Lets the side open only so many descriptors more, from before the migration on.
    fileprivate mutating func limitDescriptors(of role: Role, free: Int) {
        plan.leg.before.append(.limitDescriptors(role, free: free))
        switch role {
        case .source: scenario.breakage = .sourceDescriptors(free)
        case .destination: scenario.breakage = .destinationDescriptors(free)
        }
    }

    /// Brings the migration to the moment on the axis `when`, and takes the steps there that break it.
    fileprivate mutating func breaks(_ breakage: (BreakMoment) -> Breakage, _ steps: [ScheduleStep]) throws {
        let held = try heldByGate()
        guard let moment = recipe.choices.breakMoment else { throw unavailable("breaks at a moment, and the axis 'when' names none") }
        let device = "v\(held)"
        let initial = recipe.initialBytes(ofHeld: scenario)
        // The ACKs that are counted at the moment: all, or all but the last.
        let counted = recipe.arrangedACKs(scenario) - (moment < .acknowledged ? 1 : 0)
        let acknowledged: [ScheduleStep] = counted > 0 ? [.wait(.logged(.source, event: countedAck, times: counted))] : []
        let onlyTheAckIsMissing = recipe.onlyTheAckIsMissing(held)
        let load = ScheduleStep.open(.destination, gate: "load")
        // After this event the source only waits for the destination's last message.
        let allSent = ScheduleStep.wait(.logged(.source, event: "migration_return_path_end_before", times: 1))
        var schedule: [ScheduleStep]
        var after: [ScheduleStep] = []
        switch moment {
        case .initialData:
            try script(.destination, held, add: "on written \(initial - 4096) do hold data")
            schedule = onlyTheAckIsMissing + acknowledged
            after = [.open(.destination, gate: "data"), load]
        case .waiting:
            schedule = onlyTheAckIsMissing + acknowledged
            after = [load]
        case .acknowledged:
            try script(.source, held, add: "estimate stop-copy 1G\non gate decide do estimate stop-copy exact")
            schedule = onlyTheAckIsMissing + [load] + acknowledged + [.wait(.furtherQueries(.source, device: device, 30))]
            after = [.open(.source, gate: "decide")]
        case .decided, .stopCopy:
            try script(.source, held, add: "on state \(moment == .decided ? "PRE_COPY_P2P" : "STOP_COPY") do hold stop")
            schedule = onlyTheAckIsMissing + [load] + acknowledged + [.wait(.held(.source, device: device))]
            after = [.open(.source, gate: "stop")]
        case .finalData:
            try script(.destination, held, add: "on written \(initial + 20_000) do hold final")
            schedule = onlyTheAckIsMissing + [load, allSent, .wait(.held(.destination, device: device))]
        case .starting:
            // The first time is on the way to RESUMING.
            try script(.destination, 0, add: "on state RUNNING_P2P when=2 do hold start")
            schedule = onlyTheAckIsMissing + [load, allSent, .wait(.held(.destination, device: "v0"))]
        }
        scenario.breakage = breakage(moment)
        // What a gate holds goes on after the breakage; a source that was killed holds nothing.
        if case .sourceKilled = breakage(moment) { after = [] }
        if case .destinationKilled = breakage(moment) { after.removeAll { if case .open(.destination, _) = $0 { true } else { false } } }
        plan.leg.schedule = schedule + steps + after
    }

    fileprivate mutating func failsCall() throws {
        let held = try heldByGate()
        guard let call = recipe.choices.failingCall else { throw unavailable("fails a call, and the axis 'call' names none") }
        let (errno, resetFails) = (recipe.choices.errno, recipe.choices.reset == .fails)
        let initial = recipe.initialBytes(ofHeld: scenario)
        let rule = call.rule(initial: initial) + " do fail \(errno.word)"
        try script(call.isOfSource ? .source : .destination, held, add: rule)
        // The first reset is the one at the machine's start.
        if resetFails { try script(call.isOfSource ? .source : .destination, held, add: "on call reset when=2.. do fail \(errno.word)") }
        let acknowledged = ScheduleStep.wait(.logged(.source, event: countedAck, times: recipe.arrangedACKs(scenario)))
        scenario.breakage = .call(call, errno: errno, resetFails: resetFails)
        let load = ScheduleStep.open(.destination, gate: "load")
        switch call {
        case .sourceFirstPrecopyInfo,
            .sourceRead where errno == .enomsg:
            // The first read leaves some of the initial bytes: marker and ACK come early, and the source decides while those bytes are
            // loaded.
            if call == .sourceFirstPrecopyInfo { try script(.source, held, add: "on call read when=1 do short 4096") }
            plan.leg.schedule = [
                .wait(.held(.destination, device: "v\(held)")), .wait(.logged(.source, event: "migration_thread_low_pending", times: 1)),
                load,
            ]
        case .sourceLaterRead where errno != .enomsg:
            try script(.source, held, add: "on call read when=2 do hold later")
            plan.leg.schedule = [
                .wait(.held(.source, device: "v\(held)")), .wait(.held(.destination, device: "v\(held)")), load, acknowledged,
                .open(.source, gate: "later"),
            ]
        case .sourcePrecopyInfo:
            // No precopy query is ever answered, so that the step counts iterations.
            plan.leg.schedule = [
                .wait(.held(.destination, device: "v\(held)")), .wait(.logged(.source, event: "migrate_transferred", times: 1)),
                .wait(.furtherLogged(.source, event: "savevm_state_iterate", times: 50)), load,
            ]
        case .sourceDMALoggingStart, .sourceDMALoggingReport, .sourcePreCopy, .sourceRead, .destinationMigration, .destinationResuming,
            .destinationWrite:
            plan.leg.schedule = []
        // The plain schedule leads to each of these calls.
        case .sourceBind, .sourceInfo, .sourceConfigSpace, .sourceIRQInfo, .sourceMigration, .sourcePrecopyInfoV2, .sourceProbe,
            .sourceBootState, .sourceFirstDataSize, .sourceDataSize, .sourceLaterRead, .sourcePreCopyP2P, .sourceStopCopy, .sourceFinalRead,
            .sourceSavedConfig, .sourceStop, .destinationFinalWrite, .destinationLoadedConfig, .destinationRunningP2P, .destinationRunning:
            break
        }
    }
}

extension FailingCall {
    fileprivate var isOfSource: Bool {
        switch self {
        case .sourceBind, .sourceInfo, .sourceConfigSpace, .sourceIRQInfo, .sourceMigration, .sourcePrecopyInfoV2, .sourceProbe,
            .sourceBootState, .sourceDMALoggingStart, .sourceDMALoggingReport, .sourceFirstDataSize, .sourcePreCopy,
            .sourceFirstPrecopyInfo,
            .sourceDataSize, .sourcePrecopyInfo, .sourceRead, .sourceLaterRead, .sourcePreCopyP2P, .sourceStopCopy, .sourceFinalRead,
            .sourceSavedConfig, .sourceStop:
            true
        case .destinationMigration, .destinationResuming, .destinationWrite, .destinationFinalWrite, .destinationLoadedConfig,
            .destinationRunningP2P, .destinationRunning:
            false
        }
    }

    /// The trigger of the device script, with its occurrence; `initial`: the initial bytes of the session.
    fileprivate func rule(initial: Int) -> String {
        switch self {
        case .sourceBind: "on call bind"
        case .sourceInfo: "on call info"
        case .sourceConfigSpace: "on call config-read when=1"
        case .sourceIRQInfo: "on call irq-info"
        case .sourceMigration, .destinationMigration: "on call migration"
        case .sourcePrecopyInfoV2: "on call precopy-info-v2"
        case .sourceProbe: "on call feature-probe"
        case .sourceBootState: "on call set-state when=1"
        case .sourceDMALoggingStart: "on call dma-logging-start"
        case .sourceDMALoggingReport: "on call dma-logging-report"
        case .sourceFirstDataSize: "on call data-size when=1"
        case .sourceDataSize: "on call data-size"
        case .sourcePreCopy: "on state PRE_COPY"
        case .sourceFirstPrecopyInfo: "on call precopy-info when=1"
        case .sourcePrecopyInfo: "on call precopy-info"
        case .sourceRead: "on call read when=1"
        case .sourceLaterRead: "on call read when=2"
        case .sourcePreCopyP2P: "on state PRE_COPY_P2P"
        case .sourceStopCopy: "on state STOP_COPY"
        case .sourceFinalRead: "on read \(initial + 4096)"
        // The reads of the machine's start come before.
        case .sourceSavedConfig: "on call config-read when=6.."
        case .sourceStop: "on state STOP"
        case .destinationResuming: "on state RESUMING"
        case .destinationWrite: "on call write when=1"
        case .destinationFinalWrite: "on written \(initial + 20_000)"
        case .destinationLoadedConfig: "on call config-write when=9.."
        // The first time is on the way to RESUMING.
        case .destinationRunningP2P: "on state RUNNING_P2P when=2"
        // The reset that follows enters RUNNING as well.
        case .destinationRunning: "on state RUNNING when=1"
        }
    }
}
