/// How the migration thread writes modules' sections and commands: to the stream, or into the package of a postcopy while it makes one.
import MigrationStream
import MigrationTrace

extension MigrationThread {
    /// Makes the module's call and, when it is over, writes its section. Returns the call's result, or nil if the call is to be continued.
    func section(
        _ kind: Section.Kind, _ module: Int, _ stage: Int, _ body: (any SaveVMHandlers, inout Call) throws -> Progress
    ) throws -> Int64? {
        let handlers = host.modules[module]
        let id = host.sections[module]
        if stage == 0 {
            payload = []
            if kind != .start { host.emit(.savevmSectionStart(idstr: handlers.idstr, section: id)) }
        }
        var call = Call(host: host, stage: stage)
        let progress: Progress
        do { progress = try body(handlers, &call) } catch {
            let failure = error as? ModuleError ?? ModuleError("\(error)")
            if kind != .start { host.emit(.savevmSectionEnd(idstr: handlers.idstr, section: id, result: failure.result)) }
            throw failure
        }
        payload += call.payload
        settle(call)
        guard case .done(var result) = progress else { return nil }
        let isMemory = handlers === host.memory && package == nil
        let section = Section(
            kind: kind, id: id, idstr: handlers.idstr, instance: handlers.instance, version: handlers.version, payload: payload)
        payload = []
        // RAM flushes its section to the channel, and so sees an error of the channel (10.0.13, 11.1.3).
        write(.section(section), flushes: isMemory)
        if isMemory, source.fileError, !source.isShutDown { result = source.fileErrno }
        if kind != .start { host.emit(.savevmSectionEnd(idstr: handlers.idstr, section: id, result: result)) }
        guard !isMemory || !source.fileError else { throw ModuleError(source.fileErrorText, result: source.fileErrno) }
        return result
    }

    /// Writes an element to the stream, or into the package while there is one.
    func write(_ element: StreamElement, flushes: Bool = true) {
        if package != nil {
            package!.append(element)
        } else {
            source.write(element, flushes: flushes)
            spend(Pace.call + UInt64(element.wireSize) &* Pace.byte >> 10)
        }
    }

    func command(_ command: MigrationCommand) {
        host.emit(.savevmCommandSend(number: command.number, length: Int64(command.length)))
        write(.command(command))
    }

    func ping(_ value: UInt32) {
        host.emit(.savevmSendPing(UInt64(value)))
        command(.ping(value))
    }
}
