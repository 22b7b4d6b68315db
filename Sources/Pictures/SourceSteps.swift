/// The steps of a source, from its log, line by line.
import MigrationTrace
import Verification

struct SourceSteps {
    private(set) var list = StepList()
    private(set) var names: DeviceIdstrs
    /// What orders the two sides, in the form that `contentEdges` takes, each with its step.
    private(set) var contents = StepContents()
    /// By section: how many PART and END sections were begun, and the number of steps before.
    private(set) var written: [UInt32: [(count: Int, steps: Int)]] = [:]
    private var sections: [UInt32: Int] = [:]

    /// Up to 10.0 a source decides only below the threshold.
    private let decidesBelowThreshold: Bool
    /// The idstr of a user of switchover-ack that is no VFIO device, whose requests have no lines of their own.
    private let requester: String?
    private var hasBegun = false
    private var final: MigrationStatus?
    private(set) var queries = 0
    private var threshold: Int64 = 0
    private var wait: Step?
    private var initial: [String: UInt64] = [:]
    /// What the devices say in the query in progress, in order.
    private var asked: [DeviceMark] = []
    private var reinitialised: Set<String> = []
    private var hasDecided = false
    private var hasStopped = false
    private var hasCountedACK = false
    private var sectionStart: Event?

    init(names: [String: String], decidesBelowThreshold: Bool, requester: String?) {
        self.names = DeviceIdstrs(names)
        self.requester = requester
        self.decidesBelowThreshold = decidesBelowThreshold
    }

    /// The steps, with their devices named by section idstr.
    func finished() -> [Step] {
        var last = self
        last.endWait()
        return last.list.steps.map { $0.naming(last.names) }
    }

    mutating func handle(_ line: StepLine) {
        guard case .event(let event) = line.record else {
            if hasBegun, final == nil, case .message(let message) = line.record, message.severity == .error {
                add(Step(.error(message.text), .source, at: line))
            }
            return
        }
        if case .migrateSetState(.setup) = event { begin() }
        switch event {
        case .migrateSetState(let status): handle(status, line)
        case .runstateSet(_, let from, _, let to): handle(from, to, line)
        case .savevmSectionStart, .savevmSectionEnd: handleSection(event, line)
        default:
            guard hasBegun, final == nil else { return }
            handleQuery(event, line)
            handleDevice(event, line)
            handleCourse(event, line)
        }
    }

    // MARK: Waiting, without a look at each line

    /// The counters that grow by the same amount in each repetition of a block that only waits.
    var waiting: (queries: Int, waited: Int, sections: [UInt32: Int], steps: Int) {
        (queries, wait?.count ?? 0, sections, list.steps.count)
    }

    /// Adds so many repetitions, of which each changes the counters from `before` to what they are now.
    mutating func repeatWait(_ times: Int, since before: (queries: Int, waited: Int, sections: [UInt32: Int], steps: Int)) {
        let (each, waited) = (queries - before.queries, (wait?.count ?? 0) - before.waited)
        queries &+= each &* times
        wait?.count &+= waited &* times
        for (section, count) in sections {
            let each = count - (before.sections[section] ?? 0)
            if each > 0 { note(section, count &+ each &* times) }
        }
    }

    mutating func leaveOut(_ lines: Int, from first: StepLine, to last: Int) {
        endWait()
        var step = Step(.leftOut, .source, at: first)
        step.lines = first.place.line...max(last, first.place.line)
        step.count = lines
        list.append(step)
    }

    // MARK: The course of the migration

    private mutating func begin() {
        self = SourceSteps(names: names.idstrs, decidesBelowThreshold: decidesBelowThreshold, requester: requester)
        hasBegun = true
        contents.append(Entry(.migrateSetState(.setup)))
    }

    private mutating func add(_ step: Step) {
        endWait()
        list.append(step)
    }

    private mutating func handle(_ status: MigrationStatus, _ line: StepLine) {
        guard status != .none else { return }
        hasBegun = true
        add(Step(.status(status), .source, at: line))
        if [.completed, .failed, .cancelled].contains(status) { final = status }
    }

    private mutating func handle(_ from: RunState, _ to: RunState, _ line: StepLine) {
        // A program that quits stops its guest, which is no part of the migration.
        guard hasBegun, from != to, to != .shutdown else { return }
        if to == .finishMigrate { hasStopped = true }
        add(Step(.guest(from: from, to: to), .source, at: line))
    }

    private mutating func handleCourse(_ event: Event, _ line: StepLine) {
        switch event {
        case .sourceReturnPathThreadSwitchoverAcked(let pending):
            hasCountedACK = true
            var step = Step(.ackCounted, .source, at: line)
            step.pendingACKs = pending
            add(step)
            contents.append(Entry(event), step: list.steps.count - 1)
        case .migrationThreadLowPending(let size):
            // Without an ACK, and without a count of those that are pending, nothing shows that one was missing.
            if case .queries(true)? = wait?.kind, wait?.pendingACKs == nil { wait?.kind = .queries(isHeld: false) }
            hasDecided = true
            var step = Step(.decision, .source, at: line)
            (step.size, step.threshold, step.query) = (size, threshold, queries)
            add(step)
        case .savevmSendSwitchoverStart: add(Step(.switchoverStart, .source, at: line))
        case .sourceReturnPathThreadShut(let value):
            var step = Step(.shut, .source, at: line)
            step.size = value
            add(step)
        case .sourceReturnPathThreadBadEnd: add(Step(.channelError("the return path ends with an error"), .source, at: line))
        case .migrationThreadFileErr, .migrationCompletionFileErr:
            add(Step(.channelError("the forward channel has an error"), .source, at: line))
        case .postcopyStart: add(Step(.postcopy("postcopy starts"), .source, at: line))
        case .savevmSendPostcopyListen: add(Step(.postcopy("LISTEN is sent"), .source, at: line))
        case .savevmSendPostcopyRun: add(Step(.postcopy("RUN is sent"), .source, at: line))
        case .sourceReturnPathThreadPostcopyPackageLoaded: add(Step(.postcopy("the package is loaded"), .source, at: line))
        case .migrationCancel: add(Step(.cancel, .source, at: line))
        case .migrateError(let text), .migrateFDError(let text): add(Step(.error(text), .source, at: line))
        case .migrateTransferred(let window):
            threshold = window.maxSize
        default: break
        }
    }

    // MARK: Devices

    private mutating func handleDevice(_ event: Event, _ line: StepLine) {
        switch event {
        case .vfioSaveSetup: contents.append(Entry(event))
        case .vfioMigrationSetDeviceState(let device, let state), .vfioMigrationStateSet(let device, let state):
            add(Step(.deviceState(state), .source, at: line, devices: [DeviceMark(device: device)]))
        case .vfioSaveIterateStart(let device): name(device, by: event)
        case .vfioSendInitDataFlag(let device):
            name(device, by: event)
            add(Step(.marker, .source, at: line, devices: [DeviceMark(device: device, bytes: initial[device])]))
            contents.append(Entry(event), step: list.steps.count - 1)
            initial[device] = 0
        case .vfioSaveIterate(let device, let left, _):
            name(device, by: event)
            if left == 0, let before = initial[device], before > 0 {
                add(Step(.initialSent, .source, at: line, devices: [DeviceMark(device: device, bytes: before)]))
            }
            initial[device] = left
        case .vfioQueryPrecopySize(let device, let left, _, let reinit, let result):
            guard result == 0 else { return }
            checkPrecopy(device, left, reinit, line)
        default: break
        }
    }

    private mutating func checkPrecopy(_ device: String, _ left: UInt64, _ reinit: Bool, _ line: StepLine) {
        if hasDecided, list.steps.last.map({ $0.kind != .finalQuery }) ?? false {
            let mark = DeviceMark(device: device, bytes: left, reinitialises: reinit)
            add(Step(.lastCheck(reinitialises: reinit), .source, at: line, devices: [mark]))
            return
        }
        if reinit { reinitialised.insert(device) }
        // At set-up the device has just entered PRE_COPY.
        if case .deviceState(.preCopy)? = list.steps.last?.kind, list.steps.last?.devices.first?.device == device, wait == nil {
            list.changeLast { $0.devices[0].bytes = left }
            initial[device] = left
        }
    }

    private mutating func name(_ device: String, by event: Event) {
        guard let idstr = names.name(device), let sectionStart else { return }
        contents.append(Entry(sectionStart))
        contents.append(Entry(event))
        contents.append(Entry(.savevmSectionEnd(idstr: idstr, section: 0, result: 0)))
    }

    private mutating func handleSection(_ event: Event, _ line: StepLine) {
        switch event {
        case .savevmSectionStart(let idstr, let section):
            names.enter(idstr)
            sectionStart = event
            note(section, sections[section, default: 0] + 1)
        default:
            names.leave()
            sectionStart = nil
        }
    }

    private mutating func note(_ section: UInt32, _ count: Int) {
        guard sections.count < 4096 || sections[section] != nil else { return }
        sections[section] = count
        let steps = list.steps.count
        let last = (written[section]?.count ?? 0) - 1
        if last >= 0, written[section]![last].steps == steps {
            written[section]![last].count = count
        } else {
            written[section, default: []].append((count, steps))
        }
    }

    // MARK: Queries

    private mutating func handleQuery(_ event: Event, _ line: StepLine) {
        switch event {
        case .vfioStatePending(let pending):
            initial[pending.device] = pending.initial
            guard asked.count < 256 else { return }
            asked.append(
                DeviceMark(
                    device: pending.device, bytes: pending.initial, requests: pending.requestsAck,
                    reinitialises: reinitialised.contains(pending.device)))
        case .vfioStatePendingEstimate(let device, _, _, let left, _), .vfioStatePendingExact(let device, _, _, _, let left, _):
            initial[device] = left
        case .qemuSavevmQueryPending(let query):
            var telling = asked.filter { $0.requests || $0.reinitialises }
            if let requester, telling.count(where: \.requests) < query.collectedAcks {
                telling.append(DeviceMark(device: requester, requests: true))
            }
            (asked, reinitialised) = ([], [])
            queries += 1
            guard query.final || !telling.isEmpty || query.collectedAcks > 0 else {
                return wait(query.total, pending: query.pendingAcks, line)
            }
            var step = Step(query.final ? .finalQuery : .query, .source, at: line, devices: telling)
            (step.size, step.threshold, step.pendingACKs, step.query) = (query.total, threshold, query.pendingAcks, queries)
            step.count = Int(query.collectedAcks)
            add(step)
        case .migratePendingEstimate(let size, _, _), .migratePendingExact(let size, _, _):
            queries += 1
            wait(size, pending: nil, line)
        default: break
        }
    }

    /// Counts a query that collects nothing among those before it.
    private mutating func wait(_ size: UInt64, pending: UInt32?, _ line: StepLine) {
        let limit = UInt64(max(threshold, 0))
        let isWithin = decidesBelowThreshold ? size < limit : size <= limit
        let isHeld = !hasDecided && isWithin && (pending.map { $0 > 0 } ?? !hasCountedACK)
        let left = initial.values.reduce(0) { $0 &+ $1 }
        if let wait, wait.kind != .queries(isHeld: isHeld) { endWait() }
        if wait == nil {
            var step = Step(.queries(isHeld: isHeld), .source, at: line)
            (step.query, step.count, step.initialBefore) = (queries, 0, left)
            wait = step
        }
        wait!.count += 1
        wait!.extend(to: line)
        (wait!.size, wait!.threshold, wait!.pendingACKs, wait!.initialAfter) = (size, threshold, pending, left)
    }

    /// The fewest queries that are worth a row, if they tell nothing else.
    private static let fewestQueries = 3

    private mutating func endWait() {
        guard let wait else { return }
        self.wait = nil
        if wait.count >= Self.fewestQueries || wait.kind == .queries(isHeld: true) || wait.initialBefore != wait.initialAfter {
            list.append(wait)
        }
    }
}

/// The entries that connect the two sides, each with the number of its step; nil for those that only name a device.
struct StepContents {
    private static let most = 4 * StepList.most
    private(set) var entries: [Entry] = []
    private(set) var steps: [Int?] = []

    mutating func append(_ entry: Entry, step: Int? = nil) {
        guard entries.count < Self.most else { return }
        entries.append(entry)
        steps.append(step)
    }
}

extension Step {
    func naming(_ names: DeviceIdstrs) -> Step {
        var step = self
        for index in step.devices.indices { step.devices[index].device = names[step.devices[index].device] }
        return step
    }
}
