/// Migrations that are switched to postcopy: the guest and the handshake in every way in which postcopy may end.
///
/// The rate decides which pages are still missing. At the slowest rate QEMU sends some 32 pages each 100 ms, so that 8 MiB take 6 s.
import Plan
import Prediction

extension Driver {
    static let postcopyDrivers = [
        postcopy("postcopy", .completes, "switched to postcopy with pages missing") { draft in
            draft.plan.leg.schedule = draft.untilPostcopyBegins
            if draft.recipe.modules.faults > 0 { draft.plan.source.parameters["max-postcopy-bandwidth"] = faultingRate }
        },
        postcopy("postcopy-all-sent", .nothingIsMissing, "switched to postcopy when all pages are sent and only the ACK is missing") {
            draft in
            draft.plan.source.filledMiB = 0
            draft.plan.source.parameters["max-bandwidth"] = .integer(1 << 30)
            let source = draft.scenario.source
            draft.plan.leg.schedule = draft.allIsSentButTheAck + [startPostcopy, .resumeDestination]
            // A source that does not wait for the package sends the end of the stream at once, and the destination, which has the sections
            // of the wait to read first, must find it there.
            guard source.decidesAtThreshold, !source.hasPostcopyDevice, source.capability else { return }
            draft.plan.leg.schedule += [
                .wait(.logged(.source, event: countedAck, times: 1)), .haltDestination,
                .wait(.logged(.source, event: "migration_return_path_end_before", times: 1)), .resumeDestination,
            ]
        },
        postcopy("postcopy-load-error", .loadFails, "the destination lacks a device whose state is in the package") { draft in
            draft.plan.source.parameters["max-postcopy-bandwidth"] = slowest
            draft.plan.source.extraArguments = ["-device", "i6300esb,addr=0x1d"]
            draft.plan.leg.schedule = draft.untilPostcopyBegins
            draft.plan.leg.alsoFinal = ["postcopy-paused"]
            // 10.0 then exits, aborts or hangs, by chance.
            draft.plan.leg.afterwards = [
                .wait(.logged(.destination, event: "qemu_loadvm_state_post_main", times: 1)), .kill(.destination),
            ]
        },
        postcopy("postcopy-killed-loading", .killedLoading, "the destination is killed before it has loaded the package") { draft in
            draft.plan.source.parameters["max-postcopy-bandwidth"] = slowest
            draft.plan.leg.schedule =
                draft.withTheAck + [
                    .haltDestination, startPostcopy,
                    .wait(
                        .status(.source, draft.scenario.source.hasPostcopyDevice ? "postcopy-device" : "postcopy-active", times: 1)),
                    .kill(.destination),
                ]
            draft.plan.leg.alsoFinal = ["postcopy-paused"]
        },
        postcopy("postcopy-killed-running", .killedRunning, "the destination is killed when it runs the guest, pages missing") { draft in
            draft.plan.leg.schedule = draft.untilTheDestinationRuns + [.kill(.destination)]
            draft.plan.leg.alsoFinal = ["postcopy-paused"]
        },
        postcopy("postcopy-paused", .paused, "the channel is cut when the destination runs the guest, pages missing") { draft in
            draft.plan.leg.schedule = draft.untilTheDestinationRuns + [cutTheChannel]
            draft.plan.leg.alsoFinal = ["postcopy-paused"]
            draft.plan.leg.afterwards = [.wait(.status(.destination, "postcopy-paused", times: 1))]
        },
        postcopy("postcopy-recovered", .recovered, "the same, and the manager recovers it") { draft in
            draft.plan.leg.schedule =
                draft.untilTheDestinationRuns + [
                    cutTheChannel, .wait(.status(.source, "postcopy-paused", times: 1)),
                    .wait(.status(.destination, "postcopy-paused", times: 1)),
                    draft.recipe.modules.faults > 0 ? postcopyRate(faultingRate) : fullRate, .recover,
                ]
        },
        postcopy("postcopy-cut-at-end", .cutAtTheEnd, "the channel is cut when all pages are sent and the destination has not confirmed it")
        { draft in
            // The guest's memory fits in the sockets.
            draft.plan.source.filledMiB = 2
            draft.plan.leg.schedule =
                draft.untilTheDestinationRuns + [
                    .haltDestination, fullRate, .wait(.logged(.source, event: "migration_return_path_end_before", times: 1)), cutTheChannel,
                ]
        },
        Driver("postcopy-vfio", "postcopy of memory with VFIO devices") { draft in
            draft.switchToPostcopy(.refusedByDevices, source: "postcopy-ram", destination: nil)
            draft.plan.leg.schedule = []
        },
        Driver("postcopy-bitmaps", "postcopy of dirty bitmaps alone, which VFIO allows") { draft in
            draft.switchToPostcopy(.bitmaps, source: "dirty-bitmaps", destination: "dirty-bitmaps")
            // Bitmaps of some 256 KB.
            let disk = ["-blockdev", "driver=null-co,node-name=disk,size=\(1 << 37),read-zeroes=on"]
            draft.plan.source.extraArguments = disk
            draft.plan.leg.destination.extraArguments = disk
            draft.plan.leg.before = [.execute(.source, command: "block-dirty-bitmap-add", ["node": "disk", "name": "changes"])]
            // The rate keeps the iterations of an endless postcopy to those that prove it.
            draft.plan.source.parameters["max-postcopy-bandwidth"] = 500_000
            // The threshold is more than the devices need and less than they need with the bitmaps, so that only postcopy sends the rest.
            let threshold: JSONValue = 700_000
            let switched: [ScheduleStep] = [startPostcopy] + lowering(threshold)
            if let held = draft.held {
                draft.plan.leg.schedule = draft.recipe.onlyTheAckIsMissing(held) + switched + [.open(.destination, gate: "load")]
            } else if draft.plan.leg.haltsDestination {
                draft.plan.leg.schedule = draft.allIsSentButTheAck + switched + [.resumeDestination]
            } else {
                draft.plan.source.parameters["avail-switchover-bandwidth"] = threshold
                draft.plan.leg.schedule = [began, startPostcopy]
            }
            // A per-device source counts the devices' stop-copy size as pending forever, which the iterations that follow prove.
            if draft.scenario.source.knowsPerDevice, !draft.scenario.devices.isEmpty {
                draft.plan.leg.schedule += [
                    .wait(.status(.source, "postcopy-active", times: 1)),
                    .wait(.furtherLogged(.source, event: "savevm_state_iterate", times: 300)),
                ]
            }
        },
    ]

    /// Postcopy of memory, without devices, the guest's memory filled and sent slowly.
    private static func postcopy(
        _ name: String, _ course: PostcopyCourse, _ about: String, make: @escaping @Sendable (inout Draft) throws -> Void
    ) -> Driver {
        Driver(name, about) { draft in
            draft.switchToPostcopy(course, source: "postcopy-ram", destination: "postcopy-ram")
            draft.plan.source.filledMiB = 8
            draft.plan.source.parameters["max-bandwidth"] = slowest
            // Precopy never gets below this threshold.
            if !draft.plan.leg.haltsDestination { draft.plan.source.parameters["avail-switchover-bandwidth"] = slowest }
            try make(&draft)
        }
    }
}

/// Bytes a second. QEMU divides by ten, and 0 means unlimited.
private let slowest = JSONValue.integer(1000)

private let began = ScheduleStep.wait(.logged(.source, event: "migration_thread_setup_complete", times: 1))
private let startPostcopy = ScheduleStep.execute(.source, command: "migrate-start-postcopy", nil)
/// An error of the channel, as a manager causes it.
private let cutTheChannel = ScheduleStep.execute(.source, command: "migrate-pause", nil)
private let fullRate = postcopyRate(0)
/// Bytes a second at which the guest still finds pages missing.
private let faultingRate = JSONValue.integer(4 << 20)

private func postcopyRate(_ rate: JSONValue) -> ScheduleStep {
    .execute(.source, command: "migrate-set-parameters", ["max-postcopy-bandwidth": rate])
}

/// Steps until a lower threshold is in force.
private func lowering(_ bandwidth: JSONValue) -> [ScheduleStep] {
    [
        .execute(.source, command: "migrate-set-parameters", ["avail-switchover-bandwidth": bandwidth]),
        .wait(.furtherLogged(.source, event: "migrate_transferred", times: 1)),
    ]
}

extension Draft {
    /// Makes the migration one that is switched to postcopy, with the capability that this takes on either side.
    fileprivate mutating func switchToPostcopy(_ course: PostcopyCourse, source: String, destination: String?) {
        plan.source.capabilities[source] = true
        if let destination { plan.leg.destination.capabilities[destination] = true }
        scenario.postcopy = Postcopy(course)
    }

    /// Steps until a window has passed in which only the ACK of a halted destination was missing, and the threshold is below what is left.
    private var onlyTheAckWasMissing: [ScheduleStep] {
        [.wait(.logged(.source, event: "migrate_transferred", times: 3))] + lowering(slowest)
    }

    fileprivate var untilPostcopyBegins: [ScheduleStep] {
        plan.leg.haltsDestination ? onlyTheAckWasMissing + [startPostcopy, .resumeDestination] : [began, startPostcopy]
    }

    /// Steps until the source has the ACK, if it waits for one, and goes on with precopy.
    fileprivate var withTheAck: [ScheduleStep] {
        guard plan.leg.haltsDestination else { return [began] }
        let counted = ScheduleStep.wait(.logged(.source, event: countedAck, times: 1))
        return onlyTheAckWasMissing + [.resumeDestination, counted]
    }

    fileprivate var allIsSentButTheAck: [ScheduleStep] {
        [
            .wait(.logged(.source, event: "migrate_transferred", times: 1)),
            .wait(.furtherLogged(.source, event: "savevm_state_iterate", times: 50)),
        ]
    }

    /// Steps until the destination runs the guest while pages are missing, which the slowest rate ensures.
    fileprivate var untilTheDestinationRuns: [ScheduleStep] {
        mutating get {
            plan.source.parameters["max-postcopy-bandwidth"] = slowest
            let fault = ScheduleStep.wait(.logged(.source, event: "migrate_handle_rp_req_pages", times: 1))
            return untilPostcopyBegins + [
                .wait(.status(.source, "postcopy-active", times: 1)), .wait(.logged(.destination, event: "vm_state_notify", times: 1)),
            ] + (recipe.modules.faults > 0 ? [fault] : [])
        }
    }
}
