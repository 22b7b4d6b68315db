/// The migration thread's part before the first iteration: the header, the START of each module, and the wait for devices that the guest
/// must unplug.
import MigrationStream
import MigrationTrace

extension MigrationThread {
    func open() {
        guard source.connects else { return leave() }
        host.emit(.savevmStateHeader)
        write(.header, flushes: false)
        write(.configuration(machine: host.settings.machine), flushes: source.returnPath == nil)
        if source.returnPath != nil {
            host.emit(.savevmSendOpenReturnPath)
            command(.openReturnPath)
            ping(1)
        }
        if host.has(.postcopyRAM) || host.has(.dirtyBitmaps) {
            host.emit(.qemuSavevmSendPostcopyAdvise)
            command(.postcopyAdvise(withRAM: host.has(.postcopyRAM)))
        }
        host.emit(.savevmStateSetup)
        ops += [.activate, .setUp(module: 0, stage: 0), .lock]
    }

    func setUp(_ module: Int, _ stage: Int) throws {
        guard module < host.modules.count else {
            for module in host.modules { module.precopyNotified(.setup, host) }
            return
        }
        guard host.modules[module].isIterable, host.modules[module].isActive(host) else {
            return ops.append(.setUp(module: module + 1, stage: 0))
        }
        do {
            let result = try section(.start, module, stage) { try $0.saveSetup(&$1) }
            ops.append(result == nil ? .setUp(module: module, stage: stage + 1) : .setUp(module: module + 1, stage: 0))
        } catch let error as ModuleError {
            // QEMU checks for it when the status is `active`.
            source.store(error.text)
            setupHasFailed = true
        }
    }

    func activate() {
        unlock()
        guard unplugIsPending else { return beginIterating(from: .setup) }
        source.change(.setup, to: .waitUnplug)
        ops.append(.awaitUnplug)
    }

    /// True while the guest has not unplugged a device that cannot migrate.
    private var unplugIsPending: Bool { host.modules.contains { $0.unplugIsPending(at: clock.now) } }

    func awaitUnplug() {
        guard source.status == .waitUnplug, unplugIsPending else { return beginIterating(from: .waitUnplug) }
        ops.append(.awaitUnplug)
        sleep(until: clock.now + Pace.unplugPoll)
    }

    private func beginIterating(from status: MigrationStatus) {
        source.change(status, to: .active)
        if setupHasFailed {
            source.fail()
            return leave()
        }
        host.emit(.migrationThreadSetupComplete)
        restartWindow()
        ops.append(.loop)
    }
}
