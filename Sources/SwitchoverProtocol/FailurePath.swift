/// Where an error or a cancel takes a migration, from each status.

/// The cause of a failure.
package enum FailureCause: Hashable, Sendable {
    /// The forward channel gave an error.
    case channel
    /// The channel gave an error when the last page of postcopy was sent.
    case channelAtPostcopyEnd
    /// Anything else: a module, a device, a block, the return path.
    case other
}

/// What migrate_cancel does at a source.
package enum CancelDecision: Hashable, Sendable {
    /// No migration, or one that is being cancelled: nothing happens.
    case nothing
    /// The status becomes `cancelling`; the return path's channel is shut down, if it is open, and then the forward channel.
    case cancels
    case refused(ProtocolError)
}

extension StatusMachine {
    /// The statuses that follow an error, in order; the clean-up enters the last one. Empty if the error changes no status.
    ///
    /// - Parameter guestHandedOver: true at a destination in the postcopy phase `running` with postcopy-ram on. Only then an error of the
    ///   channel pauses it.
    package func failure(_ cause: FailureCause, guestHandedOver: Bool = false) -> [Status] {
        side == .source ? sourceFailure(cause) : destinationFailure(cause, guestHandedOver: guestHandedOver)
    }

    private func sourceFailure(_ cause: FailureCause) -> [Status] {
        switch status {
        case .none, .completed, .cancelled, .failed, .postcopyPaused: []
        case .cancelling: [.cancelled]
        case .failing: [.failed]
        case .postcopyRecoverSetup, .postcopyRecover: [.postcopyPaused]
        case .postcopyActive where pauses(cause): [.postcopyPaused]
        default: generation.has(.failing) ? [.failing, .failed] : [.failed]
        }
    }

    private func pauses(_ cause: FailureCause) -> Bool {
        switch cause {
        case .channel: true
        case .channelAtPostcopyEnd: !generation.has(.failsAtPostcopyEnd)
        case .other: false
        }
    }

    private func destinationFailure(_ cause: FailureCause, guestHandedOver: Bool) -> [Status] {
        switch status {
        case .postcopyActive where cause != .other && guestHandedOver: [.postcopyPaused]
        case .active, .postcopyDevice, .postcopyActive, .colo: [.failed]
        case .postcopyRecoverSetup, .postcopyRecover: [.postcopyPaused]
        default: []
        }
    }

    /// What migrate_cancel does at a source.
    ///
    /// - Parameter handedOver: true if everything is sent, and the destination may be completing.
    package func cancel(handedOver: Bool = false) -> CancelDecision {
        if status.isInPostcopy { return .refused(ProtocolError("Postcopy migration in progress, cannot cancel.")) }
        guard status.isRunning, status != .cancelling else { return .nothing }
        if handedOver, status == .device, !generation.has(.cancelsAfterHandOver) {
            return .refused(ProtocolError("The destination may be running the guest, cannot cancel."))
        }
        return .cancels
    }

    /// The error of a switchover that finds itself cancelled.
    package static let interrupted = ProtocolError("Switchover is interrupted")
}
