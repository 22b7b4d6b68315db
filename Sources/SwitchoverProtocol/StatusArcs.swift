/// The arcs of the status as data: each names the features that it needs, and those that exclude it.

package enum StatusArcs {
    private struct Row: Sendable {
        let from: [Status]
        let to: Status
        var with: Features = []
        /// The features of which none may be present.
        var without: Features = []
    }

    package static func legal(_ from: Status, _ to: Status, _ generation: Generation, _ side: Side) -> Bool {
        from.exists(in: generation) && to.exists(in: generation)
            && (side == .source ? source : destination).contains {
                $0.to == to && $0.from.contains(from) && generation.has($0.with) && generation.features.isDisjoint(with: $0.without)
            }
    }

    private static let source: [Row] = [
        Row(from: [.none], to: .setup),
        Row(from: [.setup], to: .waitUnplug),
        Row(from: [.setup, .waitUnplug], to: .active),
        Row(from: [.active], to: .preSwitchover),
        Row(from: [.preSwitchover], to: .device),
        Row(from: [.active], to: .device, with: .switchoverInDevice),
        Row(from: [.active], to: .completed, without: .switchoverInDevice),
        Row(from: [.device], to: .completed),
        // Without a return path no message tells of a loaded package, so the source does not enter postcopy-device.
        Row(from: [.device], to: .postcopyActive, with: .switchoverInDevice),
        Row(from: [.active, .preSwitchover], to: .postcopyActive, without: .switchoverInDevice),
        Row(from: [.device], to: .postcopyDevice),
        Row(from: [.postcopyDevice], to: .postcopyActive),
        Row(from: [.postcopyActive], to: .completed),
        Row(from: [.postcopyActive], to: .postcopyPaused),
        Row(from: [.postcopyPaused], to: .postcopyRecoverSetup),
        Row(from: [.postcopyPaused], to: .postcopyRecover, without: .postcopyRecoverSetup),
        Row(from: [.postcopyRecoverSetup], to: .postcopyRecover),
        Row(from: [.postcopyRecover], to: .postcopyActive),
        Row(from: [.postcopyRecoverSetup, .postcopyRecover], to: .postcopyPaused),
        Row(from: [.device], to: .colo),
        Row(from: [.colo], to: .completed),
        // A cancel replaces a failure that is not cleaned up yet (11.1.3).
        Row(from: [.setup, .waitUnplug, .active, .preSwitchover, .device, .colo, .failing], to: .cancelling),
        Row(from: [.cancelling], to: .cancelled),
        Row(from: failures, to: .failing),
        Row(from: [.failing], to: .failed),
        Row(from: failures, to: .failed, without: .failing),
    ]

    /// The statuses in which an error fails the migration; a migration that is paused or recovers returns to paused.
    private static let failures: [Status] = [
        .setup, .waitUnplug, .active, .preSwitchover, .device, .postcopyDevice, .postcopyActive, .colo,
    ]

    /// A destination has no `failing`, and no status for the connection that a recovery makes (11.1.3).
    private static let destination: [Row] = [
        Row(from: [.none], to: .setup),
        Row(from: [.setup], to: .active),
        Row(from: [.active], to: .completed),
        Row(from: [.active], to: .postcopyDevice),
        // Without a return path, or up to 10.1.
        Row(from: [.active], to: .postcopyActive),
        Row(from: [.postcopyDevice], to: .postcopyActive),
        Row(from: [.postcopyActive], to: .completed),
        Row(from: [.postcopyActive], to: .postcopyPaused),
        Row(from: [.postcopyPaused], to: .postcopyRecover),
        Row(from: [.postcopyRecover], to: .postcopyActive),
        Row(from: [.postcopyRecover], to: .postcopyPaused),
        Row(from: [.active], to: .colo),
        Row(from: [.colo], to: .completed),
        Row(from: [.active, .postcopyDevice, .postcopyActive, .colo], to: .failed),
    ]
}
