/// A VFIO device's module when the guest stops and starts: the device's state follows, and the source checks for REINIT a last time.
import MigrationTrace
import SwitchoverProtocol
import VFIO

extension VFIOModule {
    package var hasVMStatePrepare: Bool { hasP2P }

    package func vmStatePrepare(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            checkReply = nil
            if !running, assumed.state == .preCopy, checksForReinit(host) {
                checkReply = queryPrecopyInfo()
                return .again
            }
        } else if checkReply == nil {
            let refusal = endChange(host)
            return try finish(
                refusal, host, .vfioVMStateChangePrepare(device: name, running: running, reason: reason, requestedState))
        } else {
            receiveCheck(host)
        }
        requestedState = assumed.state == .preCopy ? .preCopyP2P : .runningP2P
        if beginChange(to: requestedState, recover: .error, host) { return .again }
        return try finish(nil, host, .vfioVMStateChangePrepare(device: name, running: running, reason: reason, requestedState))
    }

    package func vmStateChange(running: Bool, _ reason: RunState, _ call: inout Call) throws(ModuleError) -> Progress {
        let host = call.host
        if call.stage == 0 {
            checkReply = nil
            let keepsState = assumed.isInPrecopy && (reason == .finishMigrate || reason == .paused)
            requestedState = running ? .running : keepsState ? .stopCopy : .stop
            if requestedState == .stopCopy, checksForReinitAtTheEnd(host) {
                checkReply = queryPrecopyInfo()
                return .again
            }
        } else if checkReply == nil {
            let refusal = endChange(host)
            return try finish(refusal, host, .vfioVMStateChange(device: name, running: running, reason: reason, requestedState))
        } else {
            receiveCheck(host)
        }
        if beginChange(to: requestedState, recover: .error, host) { return .again }
        return try finish(nil, host, .vfioVMStateChange(device: name, running: running, reason: reason, requestedState))
    }

    /// True if the source checks for REINIT before the guest's stop is final.
    private func checksForReinit(_ host: Host) -> Bool {
        usesInfoV2 && host.countsRequests && !host.generation.isWrong(.lastCheckMissing)
    }

    /// True if the source checks once more, at the end of precopy: no release does (11.1.3).
    private func checksForReinitAtTheEnd(_ host: Host) -> Bool {
        guard checksForReinit(host) else { return false }
        return !host.generation.has(.unguardedAfterLastCheck) || !hasP2P && !host.generation.has(.noCheckWithoutP2P)
    }

    private func receiveCheck(_ host: Host) {
        guard let reply = checkReply else { return }
        checkReply = nil
        receive(reply, host)
        guard case .failure(let errno) = reply else { return }
        messages.append("\(name): Final precopy reinit check failed (err: \(-errno.rawValue))")
        tracker.lastCheckFailed()
    }

    /// Ends a stop or start: logs its event, and throws a refusal where QEMU fails the migration.
    private func finish(_ refusal: ModuleError?, _ host: Host, _ event: Event) throws(ModuleError) -> Progress {
        guard let refusal else {
            host.emit(event)
            if assumed.state == .running { isLoaded = false }
            return .done
        }
        guard abortion == nil else { throw refusal }
        host.emit(event)
        // A destination has no stream that could fail.
        guard isLoaded, host.generation.has(.resetsLoadedDevice) else { throw refusal }
        messages.append(refusal.text)
        return .done
    }
}
