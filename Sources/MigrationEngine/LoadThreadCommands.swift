/// The commands of the stream, and what the thread that loads it does for each.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

extension LoadThread {
    func execute(_ command: MigrationCommand) throws {
        host.emit(
            .loadvmProcessCommand(StreamCommand(rawValue: command.number), length: Int64(command.length)))
        ops.append(.commandDone(0))
        switch command {
        case .openReturnPath:
            incoming.hasReturnPath = true
            if host.approver.acknowledgesWithoutUsers, !incoming.send(.switchoverAck) {
                throw ModuleError(DestinationApprover.notSent.text, result: -5)
            }
        case .ping(let value):
            host.emit(.loadvmProcessCommandPing(UInt64(value)))
            guard incoming.hasReturnPath else {
                throw ModuleError("CMD_PING (0x\(String(value, radix: 16))) received with no return path", result: -1)
            }
            let isSent = incoming.send(.pong(value))
            // The source relies on this message: if it cannot be sent, the guest must not run here.
            if !isSent, value == ReturnPathRules.packageLoaded, !host.generation.has(.startsBeforeShut) {
                throw ModuleError("Could not send PONG 0x42 RP MSG", result: -5)
            }
        case .switchoverStart: ops.append(.switchoverStart(module: 0, stage: 0))
        case .postcopyAdvise:
            host.emit(.loadvmPostcopyHandleAdvise)
            try enterPhase(.advise)
        case .discard(let block, let pages):
            host.emit(.loadvmPostcopyRAMHandleDiscard)
            try enterPhase(.discard)
            try host.memory?.discard(block: block, pages)
        case .packaged(let elements):
            host.emit(.loadvmHandleCmdPackaged(length: UInt64(StreamElement.command(command).wireSize - 9)))
            host.emit(.loadvmHandleCmdPackagedReceived(length: Int64(StreamElement.command(command).wireSize - 9)))
            isInPackage = true
            ops.append(.package(elements, 0))
        case .postcopyListen: try listen()
        case .postcopyRun: try run()
        case .postcopyResume:
            host.emit(.loadvmPostcopyHandleResume)
            incoming.change(.postcopyRecover, to: .postcopyActive)
            _ = incoming.send(.resumeAck(1))
            for request in host.memory?.openRequests() ?? [] { _ = incoming.send(request) }
        case .recvBitmap(let block):
            host.emit(.loadvmHandleRecvBitmap(block: block))
            guard let bitmap = try host.memory?.receivedBitmap(block: block), case .recvBitmap(_, let bits) = bitmap else { return }
            host.emit(.migrateSendRPRecvBitmap(block: block, size: Int64(bits.count * 8)))
            _ = incoming.send(bitmap)
        case .requestSwitchoverAck(let section, let count): try answerRequests(section, count)
        }
    }

    /// Answers the requests that the core of the request-message variant announces: the initial data before the message is loaded.
    private func answerRequests(_ section: UInt32, _ count: UInt32) throws {
        guard let module = started[section] else { throw ModuleError("Unknown section \(section)", result: -22) }
        guard host.modules[module].switchoverAckNeeded, host.has(.switchoverAck) else {
            throw ModuleError("\(host.modules[module].approver): an ACK is requested, but switchover ack is not used", result: -22)
        }
        guard count > 0, count <= Self.mostRequests else {
            throw ModuleError("\(host.modules[module].approver): \(count) ACKs are requested at once", result: -22)
        }
        for _ in 0..<count { try host.approveSwitchover(host.modules[module].approver) }
    }

    /// The most ACKs that one message may request: a module has few outstanding, and a larger count is an error.
    private static var mostRequests: UInt32 { 4096 }

    /// Enters the phase that follows a postcopy command, if the present phase accepts the command.
    private func enterPhase(_ command: PostcopyCommand) throws {
        do { incoming.phase = try incoming.phase.after(command, host.generation, postcopyRAM: host.has(.postcopyRAM)) } catch {
            throw ModuleError(error.text, result: -1)
        }
    }

    func switchoverStart(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else { return }
        var call = Call(host: host, stage: stage)
        let progress = try host.modules[module].switchoverStart(&call)
        settle(call)
        ops.append(progress == .again ? .switchoverStart(module: module, stage: stage + 1) : .switchoverStart(module: module + 1, stage: 0))
    }

    func package(_ elements: [StreamElement], _ next: Int) {
        guard next < elements.count else {
            isInPackage = false
            return
        }
        ops += [.package(elements, next + 1), .element(elements[next])]
    }

    private func listen() throws {
        host.emit(.loadvmPostcopyHandleListen(step: "enter"))
        try enterPhase(.listen)
        host.emit(.loadvmPostcopyHandleListen(step: "after discard"))
        host.memory?.phase = .postcopy
        host.emit(.loadvmPostcopyHandleListen(step: "after uffd"))
        incoming.change(.active, to: host.generation.has(.postcopyDevice) && incoming.hasReturnPath ? .postcopyDevice : .postcopyActive)
        incoming.listen = LoadThread(incoming, isListening: true, started: started)
        host.emit(.loadvmPostcopyHandleListen(step: "return"))
    }

    private func run() throws {
        host.emit(.loadvmPostcopyHandleRun)
        try enterPhase(.run)
        incoming.packageIsLoaded = true
        incoming.change(.postcopyDevice, to: .postcopyActive)
        // RUN ends the loops of the main coroutine; the listen thread reads on.
        host.emit(.qemuLoadvmStateSectionCommand(result: 1))
        host.emit(.loadvmHandleCmdPackagedMain(result: 1))
        host.emit(.qemuLoadvmStateSectionCommand(result: 1))
        host.emit(.qemuLoadvmStatePostMain(result: 1))
        host.emit(.processIncomingMigrationCoEnd(result: 1, postcopyState: host.generation.has(.postcopyDevice) ? nil : 4))
        host.emit(.processIncomingMigrationCoPostcopyEndMain)
        ops = [.start(VMTransition(runs: true, reason: .running))]
        guard startsGuest else {
            ops = []
            return enterStateWithoutStart()
        }
        host.emit(.migrationBlockActivation(.active))
    }
}
