/// The thread that loads a stream: the main thread's coroutine, which holds the host's lock while it works and releases it while it waits
/// for input; and, from POSTCOPY_LISTEN on, the listen thread, which needs no lock. The commands and the end are in files of their own.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

final class LoadThread: EngineThread {
    enum Op {
        case read
        case loadSetup(module: Int, stage: Int)
        case record(Section, Int, module: Int, stage: Int)
        case command(MigrationCommand)
        case commandDone(Int64)
        case switchoverStart(module: Int, stage: Int)
        case package([StreamElement], Int)
        case element(StreamElement)
        case description
        case loaded
        case start(VMTransition)
        case started
        case sendShutThenStartGuest
        case sendShut
        case completed
        /// The channel is broken, and the package is still loading.
        case awaitPackage(ModuleError)
        /// The package has failed, and the listen thread loads what is left of the stream.
        case awaitListen(ModuleError)
        case cleanup(module: Int, stage: Int)
        case close(UInt32)
        case endProcess
        case recover
    }

    unowned let incoming: Incoming
    /// True for the listen thread.
    let isListening: Bool
    var ops: [Op] = []
    /// The modules of the sections that have started, by the section's id in the stream.
    var started: [UInt32: Int] = [:]
    /// True while the elements of a package are loaded.
    var isInPackage = false
    var hasFailed = false
    /// False after a header or a set-up that fails the load.
    var hasBegun = true
    var hasSentShut = false

    init(_ incoming: Incoming, isListening: Bool, started: [UInt32: Int] = [:]) {
        self.incoming = incoming
        self.isListening = isListening
        self.started = started
        super.init(incoming.host, incoming.clock)
        ops = [.read]
        if isListening { host.emit(.postcopyRAMListenThreadStart) }
    }

    override var inputArrival: UInt64? {
        if !isListening, !mayLock { return nil }
        switch ops.last {
        case .read?, .description?: return incoming.channel.forwardArrival
        case .completed? where isListening: return incoming.packageIsLoaded ? 0 : nil
        case .awaitPackage?: return incoming.phase == .listening && incoming.status != .failed ? nil : 0
        case .awaitListen?: return incoming.listen?.awaitsInput == false ? nil : 0
        case .recover?: return incoming.status == .postcopyRecover ? 0 : nil
        default: return 0
        }
    }

    override var stepName: String { (isListening ? "listen " : "load ") + caseName(ops.last) }

    override func step() {
        if !isListening { lock() }
        spend(Pace.step)
        guard let op = ops.popLast() else { return end() }
        do { try perform(op) } catch let error as ModuleError { failed(error) } catch { failed(ModuleError("\(error)")) }
        switch ops.last {
        case .read?, .description?, nil: unlock()
        default: break
        }
        if ops.isEmpty { end() }
    }

    private func perform(_ op: Op) throws {
        switch op {
        case .read: try read()
        case .loadSetup(let module, let stage): try loadSetup(module, stage)
        case .record(let section, let record, let module, let stage): try load(section, record, module, stage)
        case .command(let command):
            do { try execute(command) } catch let error as ModuleError {
                host.emit(.qemuLoadvmStateSectionCommand(result: error.result))
                throw error
            }
        case .commandDone(let result): host.emit(.qemuLoadvmStateSectionCommand(result: result))
        case .switchoverStart(let module, let stage): try switchoverStart(module, stage)
        case .package(let elements, let next): package(elements, next)
        case .element(let element): try load(element)
        case .description: readDescription()
        case .loaded: streamLoaded()
        case .start(var transition): try start(&transition)
        case .started: logGuestStart()
        case .sendShutThenStartGuest: try sendShutThenStartGuest()
        case .sendShut: try sendShut()
        case .completed: completed()
        case .awaitPackage(let error): failed(error)
        case .awaitListen(let error): listenAwaited(error)
        case .cleanup(let module, let stage): cleanup(module, stage)
        case .close(let value): close(shut: value)
        case .endProcess: host.end()
        case .recover: ops = [.read]
        }
    }

    /// True if the thread has loaded all that has arrived.
    fileprivate var awaitsInput: Bool {
        switch ops.last {
        case .read?: incoming.channel.forwardArrival == nil
        case .completed?, nil: true
        default: false
        }
    }

    // MARK: Elements

    private func read() throws {
        guard let element = incoming.channel.readForward() else { throw endOfStream }
        ops.append(.read)
        try load(element)
    }

    /// The error of a stream that ends early. A source flushes its stream after RAM's payload, so the end is read in place of that
    /// section's footer (10.0.13, 11.1.3).
    private var endOfStream: ModuleError {
        guard !isListening, let memory = host.memory, let module = host.modules.firstIndex(where: { $0 === memory }),
            let id = started.first(where: { $0.value == module })?.key
        else { return ModuleError("load of migration failed: Input/output error", result: -5) }
        return ModuleError("Section footer error, section_id: \(id)", result: -22)
    }

    private func load(_ element: StreamElement) throws {
        switch element {
        case .header: break
        case .configuration(let machine):
            guard machine == host.settings.machine else {
                hasBegun = false
                throw ModuleError(
                    "post load hook failed for: configuration, version_id: 1, minimum_version: 0: Machine type received is '\(machine)' "
                        + "and local is '\(host.settings.machine)'", result: -22)
            }
            hasBegun = true
            host.emit(.loadvmStateSetup)
            ops.append(.loadSetup(module: 0, stage: 0))
        case .section(let section): try begin(section)
        case .command(let command):
            host.emit(.qemuLoadvmStateSection(.command))
            ops.append(.command(command))
        case .endOfFile:
            host.emit(.qemuLoadvmStateSection(.eof))
            ops.removeAll { if case .read = $0 { true } else { false } }
            ops.append(isListening ? .completed : .description)
        case .vmDescription: break
        }
    }

    private func loadSetup(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else {
            guard !host.generation.has(.perDeviceAcks), host.has(.switchoverAck) else { return }
            for module in host.modules where module.switchoverAckNeeded { host.approver.countUser() }
            return host.emit(.loadvmStateSwitchoverAckNeeded(pending: host.approver.pending))
        }
        var call = Call(host: host, stage: stage)
        let progress: Progress
        do { progress = try host.modules[module].loadSetup(&call) } catch {
            hasBegun = false
            throw ModuleError("Load state of device \(host.modules[module].idstr) failed: \(error.text)", result: -22)
        }
        settle(call)
        ops.append(progress == .again ? .loadSetup(module: module, stage: stage + 1) : .loadSetup(module: module + 1, stage: 0))
    }

    private func begin(_ section: Section) throws {
        let module: Int
        switch section.kind {
        case .start, .full:
            host.emit(.qemuLoadvmStateSection(section.kind == .start ? .start : .full))
            host.emit(
                .qemuLoadvmStateSectionStartFull(
                    section: section.id, idstr: section.idstr, instance: section.instance, version: section.version))
            guard let found = host.modules.firstIndex(where: { $0.idstr == section.idstr && $0.instance == section.instance }) else {
                throw ModuleError(
                    "Unknown section or instance '\(section.idstr)' \(section.instance). Make sure that your current VM setup matches your "
                        + "saved VM setup, including any hotplugged devices", result: -22)
            }
            guard section.version <= host.modules[found].version else {
                throw ModuleError(
                    "unsupported version \(section.version) for '\(section.idstr)' v\(host.modules[found].version)", result: -22)
            }
            started[section.id] = found
            module = found
        case .part, .end:
            host.emit(.qemuLoadvmStateSection(section.kind == .part ? .part : .end))
            host.emit(.qemuLoadvmStateSectionPartEnd(section: section.id))
            guard let found = started[section.id] else { throw ModuleError("Unknown section \(section.id)", result: -22) }
            module = found
        }
        if !section.payload.isEmpty { ops.append(.record(section, 0, module: module, stage: 0)) }
    }

    private func load(_ section: Section, _ record: Int, _ module: Int, _ stage: Int) throws {
        var call = Call(host: host, stage: stage)
        let progress: Progress
        do { progress = try host.modules[module].loadState(section.payload[record], &call) } catch {
            // The module's own error is printed for the user alone.
            throw ModuleError(
                "Failed to load vmstate version_id: \(host.modules[module].version), ret: \(error.result)", result: error.result)
        }
        settle(call)
        if progress == .again {
            ops.append(.record(section, record, module: module, stage: stage + 1))
        } else if record + 1 < section.payload.count {
            ops.append(.record(section, record + 1, module: module, stage: 0))
        }
    }
}
