/// What a row of a picture says, in one sentence, and the words that stand in its lanes.
import MigrationTrace
import Verification

/// `label` names a device.
func sentence(of row: Picture.Row, label: (String) -> String) -> String {
    let step = row.steps[0]
    let devices = row.devices.map { label($0.device) }.joined(separator: " ")
    switch row.kind {
    case .status(let status): return "status \(status.rawValue)"
    case .guest(let from, let to): return "guest: \(from.rawValue) -> \(to.rawValue)"
    case .deviceState(let state):
        return "\(devices): \(state.rawValue)" + (initialBytes(row.devices).map { ", \($0)" } ?? "")
    case .query: return query(row, label)
    case .queries: return queries(step)
    case .finalQuery:
        let collected = step.count > 0 ? "; \(query(row, label).drop { $0 != ":" }.dropFirst(2))" : ""
        return "final query, guest stopped: \(bytes(step.size ?? 0)) pending\(collected)"
    case .initialSent: return "\(devices): the last initial bytes are sent"
    case .marker: return "\(devices): marker sent" + drained(row.devices)
    case .answer(let isLoaded, let isApproved, let sendsACK):
        let parts = [isLoaded ? "marker loaded" : nil, isApproved ? "approved" : nil, sendsACK ? "ACK sent" : nil].compactMap { $0 }
        let pending = row.steps.compactMap(\.pendingACKs).map(String.init).joined(separator: ", ")
        return (devices.isEmpty ? "" : devices + ": ") + parts.joined(separator: ", ") + (pending.isEmpty ? "" : " (\(pending) to go)")
    case .countedIn:
        let last = row.steps.last?.pendingACKs.map { "\($0)" } ?? "?"
        return devices.isEmpty ? "legacy mode: \(last) devices are counted in" : "legacy mode: \(devices) counted in, \(last) in all"
    case .ackCounted: return acks(row)
    case .decision:
        return "DECISION to switch over: \(bytes(step.size ?? 0)) pending, threshold \(bytes(UInt64(max(step.threshold ?? 0, 0))))"
    case .lastCheck(let reinit):
        return "last check of \(devices): " + (reinit ? "REINIT" + (initialBytes(row.devices).map { ", \($0)" } ?? "") : "no REINIT")
    case .switchoverStart: return "SWITCHOVER_START \(row.side == .source ? "sent" : "received")"
    case .shut: return row.side == .source ? "SHUT \(step.size ?? 0) received" : "SHUT sent"
    case .postcopy(let text): return "postcopy: \(text)".replacing("postcopy: postcopy", with: "postcopy")
    case .cancel: return "a cancel is requested"
    case .error(let text): return "error: \(text)"
    case .channelError(let text): return text
    case .injected(let action):
        let times = row.steps.reduce(0) { $0 + $1.count }
        return "script of \(devices): \(action)" + (step.size.map { $0 > 0 ? " \(number($0))" : "" } ?? "")
            + (times > row.steps.count ? ", \(times) times" : "")
    case .held(let gate): return "\(devices): a call is held at the gate \(gate)"
    case .released(let gate): return "\(devices): the gate \(gate) opens"
    case .leftOut: return "… \(step.count) lines that repeat are left out"
    }
}

private func query(_ row: Picture.Row, _ label: (String) -> String) -> String {
    let step = row.steps[0]
    let again = step.devices.filter(\.reinitialises)
    let requests = step.devices.filter(\.requests)
    var parts: [String] = []
    if !again.isEmpty {
        parts.append(
            "REINIT of \(again.map { label($0.device) }.joined(separator: " "))" + (initialBytes(again).map { ", \($0)" } ?? ""))
    }
    let collected = max(requests.count, step.count)
    if collected > 0 {
        let who = again.isEmpty && !requests.isEmpty ? " (\(requests.map { label($0.device) }.joined(separator: " ")))" : ""
        parts.append("\(collected) \(collected == 1 ? "request" : "requests") collected\(who)")
    }
    if parts.isEmpty { parts.append("nothing collected") }
    return "query \(step.query): " + parts.joined(separator: "; ") + (step.pendingACKs.map { "; \(acksPending($0))" } ?? "")
}

private func queries(_ step: Step) -> String {
    let size = bytes(step.size ?? 0)
    let threshold = bytes(UInt64(max(step.threshold ?? 0, 0)))
    var text = "… \(step.count) \(step.count == 1 ? "query" : "queries")"
    if let before = step.initialBefore, let after = step.initialAfter, before != after {
        text += ", initial bytes \(number(before)) -> \(number(after))"
    }
    guard case .queries(true) = step.kind else {
        return text + ": \(size) pending, threshold \(threshold)" + (step.pendingACKs.map { $0 > 0 ? ", \(acksPending($0))" : "" } ?? "")
    }
    return text + ": HELD BACK, \(size) pending are within the threshold \(threshold), "
        + (step.pendingACKs.map { "\(acksPending($0))" } ?? "and no ACK has come")
}

private func acks(_ row: Picture.Row) -> String {
    let count = row.steps.count
    let pending = row.steps.compactMap(\.pendingACKs)
    let words = count == 1 ? "ACK counted" : "\(count) ACKs counted"
    if pending.contains(.max) { return words + ": UNDERFLOW, 4294967295 pending" }
    guard let last = pending.last else { return words }
    return words + (count == 1 ? ": \(last) pending" : ": \(pending.prefix(12).map(String.init).joined(separator: " ")) pending")
}

private func acksPending(_ count: UInt32) -> String {
    count == .max ? "UNDERFLOW, 4294967295 ACKs pending" : "\(count) \(count == 1 ? "ACK" : "ACKs") pending"
}

/// The initial bytes that the devices have left, once where they are equal.
private func initialBytes(_ devices: [DeviceMark]) -> String? {
    let sizes = devices.compactMap(\.bytes)
    guard let first = sizes.first else { return nil }
    if Set(sizes).count == 1 { return "\(number(first)) initial bytes" + (sizes.count > 1 ? " each" : "") }
    return sizes.map(number).joined(separator: " ") + " initial bytes"
}

private func drained(_ devices: [DeviceMark]) -> String {
    let sizes = devices.compactMap(\.bytes)
    guard !sizes.isEmpty else { return "" }
    return ", initial bytes \(Set(sizes).count == 1 ? number(sizes[0]) : sizes.map(number).joined(separator: " ")) -> 0"
        + (sizes.count > 1 ? " each" : "")
}

private func bytes(_ size: UInt64) -> String { size == 0 ? "0" : "\(size) bytes" }

private func number(_ size: UInt64) -> String { "\(size)" }

extension UInt64 {
    /// In K, M or G where that is exact.
    var short: String {
        for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] where self >= 1 << shift && self & (1 << shift - 1) == 0 {
            return "\(self >> shift)\(unit)"
        }
        return "\(self)"
    }
}

/// What stands in a lane of a row.
package struct LaneWord: Hashable, Sendable {
    package enum Colour: String, Hashable, Sendable, CaseIterable {
        case plain
        case request
        case reinit
        case marker
        case ack
        case decision
        case good
        case bad
        case hold
    }

    package var lane: Int
    /// From the longest to the shortest, which has at most three characters.
    package var texts: [String]
    package var colour: Colour
}

extension Picture {
    /// The words in the lanes of a row, from left to right.
    package func words(of row: Row) -> [LaneWord] {
        guard !row.isFold else { return [] }
        guard !row.devices.isEmpty else {
            let (texts, colour) = coreWord(row)
            return [LaneWord(lane: lane(row.side, nil), texts: texts, colour: colour)]
        }
        var words: [Int: LaneWord] = [:]
        for mark in row.devices {
            let lane = lane(row.side, mark.device)
            let (texts, colour) = deviceWord(row.kind, mark)
            words[lane] = LaneWord(lane: lane, texts: texts, colour: colour)
        }
        return words.values.sorted { $0.lane < $1.lane }
    }

    private func coreWord(_ row: Row) -> ([String], LaneWord.Colour) {
        switch row.kind {
        case .status(let status):
            let colour: LaneWord.Colour =
                status == .completed ? .good : [.failed, .failing, .cancelled, .cancelling].contains(status) ? .bad : .plain
            let short = status == .completed ? ["done"] : status == .cancelled ? ["cancel"] : []
            return ([status.rawValue] + short + ["*"], colour)
        case .ackCounted:
            let isWrong = row.steps.contains { $0.pendingACKs == .max }
            return ([row.steps.count > 1 ? "ACK x\(row.steps.count)" : "ACK", "ACK"], isWrong ? .bad : .ack)
        case .answer: return (["ACK"], .ack)
        case .decision: return (["DECIDES", "DEC", "<>"], .decision)
        case .queries(true): return (["HELD", "HLD"], .hold)
        case .queries(false), .leftOut: return (["…", ":"], .plain)
        case .query: return (["REQ"], .request)
        case .finalQuery: return (["final", "fin"], .plain)
        case .guest(_, let to): return ([to == .running ? "runs" : to == .finishMigrate ? "stops" : to.rawValue, "*"], .plain)
        case .switchoverStart: return (["START", "*"], .plain)
        case .shut: return (["SHUT", "*"], .plain)
        case .countedIn: return (["count", "CNT"], .request)
        case .error, .channelError: return (["ERROR", "ERR"], .bad)
        case .cancel: return (["cancel", "CAN"], .bad)
        default: return (["*"], .plain)
        }
    }

    private func deviceWord(_ kind: Step.Kind, _ mark: DeviceMark) -> ([String], LaneWord.Colour) {
        func with(_ word: String, _ short: String) -> [String] {
            (mark.bytes.map { $0 > 0 ? ["\(word) \($0.short)"] : [] } ?? []) + [word, short]
        }
        switch kind {
        case .query where mark.reinitialises, .finalQuery where mark.reinitialises: return (with("REINIT", "RE!"), .reinit)
        case .query, .finalQuery: return (with("REQ", "REQ"), .request)
        case .marker: return (["MARKER", "MARK", "MRK"], .marker)
        case .initialSent: return (["SENT", "SNT"], .marker)
        case .answer(_, let isApproved, let sendsACK):
            return sendsACK ? (["ACK"], .ack) : isApproved ? (["APPROVE", "APPR", "APP"], .ack) : (["LOADED", "LOAD", "LD"], .marker)
        case .countedIn: return (["count", "CNT"], .request)
        case .lastCheck(let reinit): return reinit ? (with("REINIT", "RE!"), .reinit) : (["check", "chk"], .plain)
        case .deviceState(let state): return (stateWords(state), state == .error ? .bad : .plain)
        case .held: return (["HOLD", "HLD"], .hold)
        case .released: return (["open", "opn"], .hold)
        case .injected(let action): return ([action, "inj"], action == "reinit" ? .reinit : .hold)
        default: return (["*"], .plain)
        }
    }

    private func stateWords(_ state: VFIOState) -> [String] {
        switch state {
        case .preCopy: ["PRE_COPY", "PRE", "PC"]
        case .preCopyP2P: ["PC_P2P", "P2P"]
        case .stopCopy: ["STOP_COPY", "STC", "SC"]
        case .resuming: ["RESUMING", "RES"]
        case .running: ["RUNNING", "RUN"]
        case .runningP2P: ["RUN_P2P", "R2P"]
        case .stop: ["STOP", "STP"]
        case .error: ["ERROR", "ERR"]
        case .unknown: ["?"]
        }
    }
}
