/// The steps of a destination, and those that the mock devices of a host log, line by line.
import MigrationTrace
import Verification

struct DestinationSteps {
    private(set) var list = StepList()
    private(set) var names: DeviceIdstrs
    private(set) var contents = StepContents()
    /// By number of step: the section in which the step happens, and how many PART and END sections of that number were read by then.
    private(set) var reads: [Int: (section: UInt32, count: Int)] = [:]

    private var hasBegun = false
    private var final: MigrationStatus?
    private var sections: [UInt32: String] = [:]
    private var counts: [UInt32: Int] = [:]
    private var section: UInt32?

    init(names: [String: String]) { self.names = DeviceIdstrs(names) }

    func finished() -> [Step] { list.steps.map { $0.naming(names) } }

    mutating func handle(_ line: StepLine) {
        guard case .event(let event) = line.record else {
            if hasBegun, final == nil, case .message(let message) = line.record, message.severity == .error {
                list.append(Step(.error(message.text), .destination, at: line))
            }
            return
        }
        switch event {
        case .migrateSetState(let status): handle(status, line)
        case .runstateSet(_, let from, _, let to):
            guard hasBegun, from != to, to != .shutdown else { return }
            list.append(Step(.guest(from: from, to: to), .destination, at: line))
        case .qemuLoadvmStateSection, .qemuLoadvmStateSectionStartFull, .qemuLoadvmStateSectionPartEnd: handleSection(event)
        case .vfioLoadState(let device, let tag):
            name(device)
            if tag == .initDataSent { load(device, event, line) }
        case .loadvmApproveSwitchover(let approver):
            approve(approver, pending: nil, event, line)
        case .loadvmApproveSwitchoverLegacy(let approver, let pending): approve(approver, pending: pending, event, line)
        case .loadvmApproveSwitchoverCounted(let pending): approve(nil, pending: pending, event, line)
        case .migrateSendRPMessage(.switchoverAck, _): sendACK(event, line)
        default:
            guard final == nil else {
                // A destination says SHUT when everything else is over.
                if case .migrateSendRPMessage(.shut, _) = event { list.append(Step(.shut, .destination, at: line)) }
                return
            }
            handleCourse(event, line)
        }
    }

    mutating func leaveOut(_ lines: Int, from first: StepLine, to last: Int) {
        var step = Step(.leftOut, .destination, at: first)
        step.lines = first.place.line...max(last, first.place.line)
        step.count = lines
        list.append(step)
    }

    var stepCount: Int { list.steps.count + list.further }

    private mutating func handle(_ status: MigrationStatus, _ line: StepLine) {
        guard status != .none else { return }
        if status == .setup {
            self = DestinationSteps(names: names.idstrs)
            contents.append(Entry(.migrateSetState(.setup)))
        }
        hasBegun = true
        list.append(Step(.status(status), .destination, at: line))
        if [.completed, .failed, .cancelled].contains(status) { final = status }
    }

    private mutating func handleCourse(_ event: Event, _ line: StepLine) {
        switch event {
        case .vfioMigrationSetDeviceState(let device, let state), .vfioMigrationStateSet(let device, let state):
            guard hasBegun else { return }
            list.append(Step(.deviceState(state), .destination, at: line, devices: [DeviceMark(device: device)]))
        case .migrationRequestSwitchoverAckLegacy(let requester, let pending):
            var step = Step(.countedIn, .destination, at: line, devices: [DeviceMark(device: requester)])
            step.pendingACKs = pending
            list.append(step)
        case .loadvmStateSwitchoverAckNeeded(let pending):
            var step = Step(.countedIn, .destination, at: line)
            step.pendingACKs = pending
            list.append(step)
        case .loadvmProcessCommand(.switchoverStart?, _): list.append(Step(.switchoverStart, .destination, at: line))
        case .migrateSendRPMessage(.shut, _): list.append(Step(.shut, .destination, at: line))
        case .loadvmPostcopyHandleListen(let step) where step.contains("return"):
            list.append(Step(.postcopy("LISTEN is obeyed"), .destination, at: line))
        case .loadvmPostcopyHandleRun: list.append(Step(.postcopy("RUN is obeyed"), .destination, at: line))
        case .migrateError(let text), .migrateFDError(let text): list.append(Step(.error(text), .destination, at: line))
        case .qemuLoadvmStatePostMain(let result) where result < 0:
            list.append(Step(.channelError("the load ends with an error"), .destination, at: line))
        default: break
        }
    }

    // MARK: Markers

    private mutating func load(_ device: String, _ event: Event, _ line: StepLine) {
        let mark = DeviceMark(device: device)
        list.append(Step(.answer(isLoaded: true, isApproved: false, sendsACK: false), .destination, at: line, devices: [mark]))
        noteRead()
        if let section { contents.append(Entry(.qemuLoadvmStateSectionPartEnd(section: section))) }
        contents.append(Entry(event), step: lastStep)
    }

    private mutating func approve(_ approver: String?, pending: UInt32?, _ event: Event, _ line: StepLine) {
        if case .answer(true, false, false)? = list.steps.last?.kind, list.further == 0,
            approver == nil || list.steps.last?.devices.first?.device == approver
        {
            list.changeLast { step in
                step.kind = .answer(isLoaded: true, isApproved: true, sendsACK: false)
                step.extend(to: line)
                step.pendingACKs = pending
            }
        } else {
            let marks = approver.map { [DeviceMark(device: $0)] } ?? []
            var step = Step(.answer(isLoaded: false, isApproved: true, sendsACK: false), .destination, at: line, devices: marks)
            step.pendingACKs = pending
            list.append(step)
            noteRead()
        }
        contents.append(Entry(event), step: lastStep)
    }

    private mutating func sendACK(_ event: Event, _ line: StepLine) {
        if case .answer(let isLoaded, true, false)? = list.steps.last?.kind, list.further == 0 {
            list.changeLast { step in
                step.kind = .answer(isLoaded: isLoaded, isApproved: true, sendsACK: true)
                step.extend(to: line)
            }
        } else {
            list.append(Step(.answer(isLoaded: false, isApproved: false, sendsACK: true), .destination, at: line))
        }
        contents.append(Entry(event), step: lastStep)
    }

    private var lastStep: Int? { list.further == 0 ? list.steps.count - 1 : nil }

    private mutating func noteRead() {
        guard let section, let count = counts[section], let lastStep else { return }
        reads[lastStep] = (section, count)
    }

    // MARK: Sections

    private mutating func handleSection(_ event: Event) {
        switch event {
        case .qemuLoadvmStateSectionStartFull(let number, let idstr, _, _):
            section = number
            names.enter(idstr)
            guard sections.count < 4096, sections[number] != idstr else { return }
            sections[number] = idstr
            contents.append(Entry(event))
        case .qemuLoadvmStateSectionPartEnd(let number):
            section = number
            names.enter(sections[number])
            if counts.count < 4096 || counts[number] != nil { counts[number, default: 0] += 1 }
        default:
            section = nil
            names.leave()
        }
    }

    private mutating func name(_ device: String) { _ = names.name(device) }
}

/// The steps that the log of the mock devices of one host has: what a script did, and which calls a gate held.
struct MockSteps {
    private(set) var list = StepList()
    let side: PictureSide
    private var anchors: [String: MockAnchor] = [:]
    /// By device: what the last call has done.
    private var begun: [String: LastCall] = [:]

    private enum LastCall {
        case deviceDrained
        case deviceLoaded
    }

    init(_ side: PictureSide) { self.side = side }

    mutating func handle(_ line: StepLine) {
        guard let event = line.record.event else { return }
        switch event {
        case .deviceInjected(let device, _, let action, let value):
            // The hold itself has lines of its own.
            guard action != "hold" else { return }
            if let last = list.steps.last, last.kind == .injected(action), last.devices.first?.device == device {
                list.changeLast { step in
                    step.count += 1
                    step.extend(to: line)
                }
                return
            }
            append(.injected(action), device, line, value)
        case .deviceHoldBegin(let device, let gate): append(.held(gate: gate), device, line)
        case .deviceHoldEnd(let device, let gate): append(.released(gate: gate), device, line)
        case .deviceState(let device, _, let state): note(device) { $0.state = state }
        // QEMU prints the marker or the approval once the call that this belongs to has returned, so with the next call.
        case .deviceDrained(let device, _): begun[device] = .deviceDrained
        case .deviceLoaded(let device, .initial, _, _): begun[device] = .deviceLoaded
        case .deviceRead(let device, _, _), .deviceWrite(let device, _, _), .deviceCall(let device, _, _): note(device) { _ in }
        case .devicePrecopyInfo(let info): note(info.device) { _ in }
        default: break
        }
    }

    private mutating func append(_ kind: Step.Kind, _ device: String, _ line: StepLine, _ value: UInt64? = nil) {
        var step = Step(kind, side, at: line, devices: [DeviceMark(device: device)])
        (step.size, step.anchor) = (value, anchors[device])
        list.append(step)
    }

    /// The device is called again.
    private mutating func note(_ device: String, _ change: (inout MockAnchor) -> Void) {
        guard anchors.count < 256 || anchors[device] != nil else { return }
        var anchor = anchors[device, default: MockAnchor()]
        switch begun.removeValue(forKey: device) {
        case .deviceDrained: anchor.markers += 1
        case .deviceLoaded: anchor.answers += 1
        case nil: break
        }
        change(&anchor)
        anchors[device] = anchor
    }
}
