/// Migrations as libvirt makes them: the source pauses before the switchover, and the destination waits for `cont`.
///
/// Confirmed on 10.0.13 and 11.1.3: the ACKs hold back the decision, so all are counted when the status is `pre-switchover`.
import Plan
import Prediction

extension Driver {
    static let libvirtDrivers = [
        Driver("libvirt", "paused before the switchover, continued, and the destination's guest started after the source's end") { draft in
            draft.pauseBeforeSwitchover()
            draft.proceed()
            // A REINIT at the last check fails the migration, and so does a surplus ACK behind the decision: then the source's guest runs on, and
            // the manager does not start the destination's.
            guard draft.scenario.late == nil, draft.scenario.race == .natural else { return }
            draft.plan.leg.afterwards = [.wait(.status(.destination, "completed", times: 1)), .execute(.destination, command: "cont", nil)]
        },
        Driver("libvirt-cancel", "cancelled when the source has paused before the switchover") { draft in
            draft.pauseBeforeSwitchover()
            draft.fail(.cancelled, by: [.execute(.source, command: "migrate_cancel", nil)])
        },
        Driver("libvirt-destination-ends", "the destination ends while the source has paused before the switchover, which is cancelled") {
            draft in
            draft.pauseBeforeSwitchover()
            draft.fail(
                .destinationEnds,
                by: [
                    .kill(.destination), .wait(.logged(.source, event: "source_return_path_thread_end", times: 1)),
                    .execute(.source, command: "migrate_cancel", nil),
                ])
        },
        Driver("libvirt-destination-fails", "the destination cannot load the stopped device after the source was continued") { draft in
            draft.pauseBeforeSwitchover()
            let last = draft.scenario.devices.count - 1
            guard last >= 0 else { return }
            draft.fail(.destinationFails, by: [])
            let precopy = draft.recipe.precopySize(draft.scenario.devices[last])
            try draft.script(.destination, last, add: "on written \(precopy + 1) do fail EIO")
            draft.proceed()
        },
    ]
}

extension Draft {
    /// libvirt's capabilities, and the schedule up to the source's pause.
    fileprivate mutating func pauseBeforeSwitchover() {
        plan.source.capabilities["pause-before-switchover"] = true
        plan.leg.destination.capabilities["late-block-activate"] = true
        plan.leg.destination.startsPaused = true
        scenario.destination.startsPaused = true
        switchOver([.wait(.status(.source, "pre-switchover", times: 1))])
    }

    /// Has the paused migration fail: the steps bring it about.
    fileprivate mutating func fail(_ failure: FailureAfterPause, by steps: [ScheduleStep]) {
        plan.leg.schedule += steps
        scenario.failureAfterPause = failure
    }

    /// Continues. Where a gate keeps the source from running its guest again, it holds the lock that the answer needs.
    fileprivate mutating func proceed() {
        let arguments: JSONValue = ["state": "pre-switchover"]
        let isHeld = plan.leg.schedule.contains(.open(.source, gate: "resume"))
        switchOver([
            isHeld
                ? .request(.source, command: "migrate-continue", arguments) : .execute(.source, command: "migrate-continue", arguments)
        ])
    }

    /// Where a gate keeps the source from stopping its devices, it pauses only behind that.
    private mutating func switchOver(_ steps: [ScheduleStep]) {
        let stopped = plan.leg.schedule.lastIndex { if case .open(.source, gate: "send") = $0 { true } else { false } }
        let paused = plan.leg.schedule.lastIndex(of: .wait(.status(.source, "pre-switchover", times: 1)))
        plan.leg.schedule.insert(contentsOf: steps, at: (paused ?? stopped).map { $0 + 1 } ?? plan.leg.schedule.endIndex)
    }
}
