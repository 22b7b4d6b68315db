/// Where an error or a cancel takes a migration, from each status.

/// What went wrong.
package enum FailureCause: Hashable, Sendable {
    /// The forward channel gave an error.
    case channel
    /// The channel gave an error when the last page of postcopy was sent.
    case channelAtPostcopyEnd
    /// Anything else: a module, a device, a block, the return path.
    case other
}

/// What a source is told on migrate_cancel.
package enum CancelDecision: Hashable, Sendable {
    /// No migration, or one that is being cancelled: nothing happens.
    case nothing
    /// `cancelling`; the return path's channel is shut down, if it is open, and then the forward channel.
    case cancels
    case refused(ProtocolError)
}

extension StatusMachine {
    /// The statuses that follow an error, in order; the last comes with the clean-up. None: the error changes nothing.
    ///
    /// - Parameter guestHandedOver: at the destination, whether its postcopy phase is `running` with postcopy-ram on. Only then does an
    ///   error of the channel pause it.
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
    /// - Parameter handedOver: everything is sent, and the destination may be completing.
    package func cancel(handedOver: Bool = false) -> CancelDecision {
        if status.isInPostcopy { return .refused(ProtocolError("Postcopy migration in progress, cannot cancel.")) }
        guard status.isRunning, status != .cancelling else { return .nothing }
        if handedOver, status == .device, !generation.has(.cancelsBehindHandOver) {
            return .refused(ProtocolError("The destination may be running the guest, cannot cancel."))
        }
        return .cancels
    }

    /// The error of a switchover that finds itself cancelled.
    package static let interrupted = ProtocolError("Switchover is interrupted")
}
