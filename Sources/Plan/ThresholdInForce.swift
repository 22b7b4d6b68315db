/// True when a source has computed the threshold of the switchover from the parameters that a schedule has set.

/// Follows whether the source decides by the threshold that the schedule has set last. The source computes the threshold at the end of each
/// bandwidth window, from the parameters of that moment; until then, pending bytes above the old threshold prove nothing.
package struct ThresholdInForce {
    package let steps: [ScheduleStep]
    private var windows = 0
    /// The step that has set the threshold last, and the windows that had ended when that step was first seen to be taken.
    private var latest: (step: Int?, windows: Int) = (nil, 0)

    package init(steps: [ScheduleStep]) { self.steps = steps }

    /// A window of the source has ended.
    package mutating func windowEnded() { windows += 1 }

    /// What the source has yet to do after `taken` steps, in words; nil if the threshold is in force.
    package mutating func pending(after taken: Int) -> String? {
        let step = steps.prefix(taken).lastIndex(where: \.setsThreshold)
        if step != latest.step { latest = (step, windows) }
        guard step != nil, windows == latest.windows else { return nil }
        return "the threshold that was set is in force from the end of the window on"
    }
}

extension ScheduleStep {
    fileprivate var setsThreshold: Bool {
        guard case .execute(.source, "migrate-set-parameters", let arguments) = self else { return false }
        return ["avail-switchover-bandwidth", "downtime-limit", "max-bandwidth"].contains { arguments?[$0] != nil }
    }
}
