/// A recording of a device as a device script: what a mock needs to behave as the device did, by protocol progress.
///
/// The script has what the calls show: abilities, sizes, the schedule of re-initialisations and dirty bytes, rates, costs and failures. A
/// trait of the recording that no script expresses becomes a remark, which is a comment at the head of the script.
import MigrationTrace
import VFIO

package struct Distillation: Hashable, Sendable {
    /// The script, with the remarks as comments.
    package let text: String
    /// What the script does not say, in sentences.
    package let remarks: [String]

    package init(_ device: RecordedDevice) throws(RecordingError) {
        var walk = RecordedWalk()
        for call in device.calls { walk.take(call) }
        var writer = ScriptWriter()
        writer.write(walk, device)
        remarks = writer.remarks
        let head = ["ackmatrix-device 1", "# Distilled from a recording of \(device.name), \(device.calls.count) calls."]
        let text = (head + remarks.map { "# Not in the script: \($0)" } + writer.lines).joined(separator: "\n") + "\n"
        do { _ = try DeviceScript(text, file: "the script of \(device.name)") } catch {
            throw RecordingError("\(device.name): no script expresses this recording: \(error)")
        }
        self.text = text
    }
}

/// Turns what the walk has found into the lines of a script.
private struct ScriptWriter {
    private(set) var lines: [String] = []
    private(set) var remarks: [String] = []
    /// The lines `on ...`, of which a script has at most 64.
    private var rules: [String] = []
    private static let mostRules = 64
    /// Changes of a quantity, one rule each, that a script spells out; more become a mean.
    private static let mostChanges = 24

    mutating func write(_ walk: RecordedWalk, _ device: RecordedDevice) {
        abilities(walk)
        sizes(walk)
        times(walk)
        schedule(walk)
        failures(walk)
        if rules.count > Self.mostRules {
            remarks.append(
                "the last \(rules.count - Self.mostRules) of \(rules.count) rules, since a script has at most \(Self.mostRules).")
        }
        lines += rules.prefix(Self.mostRules)
        others(walk, device)
    }

    private mutating func abilities(_ walk: RecordedWalk) {
        var words = ["stop-copy"]
        if walk.hasPrecopy { words = ["precopy"] }
        if walk.hasP2P { words.append("p2p") }
        if walk.hasPrecopy, walk.reinitialises { words.append("reinit") }
        if words.count > 1, words[0] == "stop-copy" { words.removeFirst() }
        lines.append("has " + words.joined(separator: " "))
        if walk.flags == nil { remarks.append("the migration flags, which nobody asked for; the abilities are those that were used.") }
        if walk.hasPrecopy {
            lines.append("info-v2 \(walk.offersInfoV2 == false ? "no" : "yes")")
            if walk.offersInfoV2 == nil { remarks.append("whether MIG_PRECOPY_INFOv2 is offered: nobody asked; the script offers it.") }
        }
        lines.append("dirty-tracking \(walk.tracksDirty == false ? "no" : "yes")")
        if walk.tracksDirty == nil { remarks.append("whether DMA logging is offered: nobody asked; the script offers it.") }
    }

    private mutating func sizes(_ walk: RecordedWalk) {
        if walk.hasPrecopy {
            lines.append("initial \(bytes(dataSize(walk.initial ?? 0, "initial", canBeNone: true)))")
            if !walk.drainedEnomsg { lines.append("drained 0") }
        }
        if let stopCopy = walk.stopCopy {
            lines.append("stop-copy \(bytes(dataSize(stopCopy, "stop-copy", canBeNone: false)))")
        } else if walk.savingSessions > 0 {
            let size = walk.sizes.last { $0.value >= 16 }?.value ?? 16
            lines.append("stop-copy \(bytes(size))")
            remarks.append("how much is read in STOP_COPY: the state was not read to its end; the script delivers what was reported last.")
        }
    }

    /// A size that a script can have: none, or 16 bytes and more.
    private mutating func dataSize(_ size: UInt64, _ what: String, canBeNone: Bool) -> UInt64 {
        guard size < 16, size > 0 || !canBeNone else { return size }
        remarks.append("\(what) data of \(size) bytes: the mock's data has a header of 16 bytes.")
        return 16
    }

    private mutating func times(_ walk: RecordedWalk) {
        for (word, transfer) in [("read", walk.reading), ("write", walk.writing)] {
            guard let rate = transfer.rate else { continue }
            lines.append("rate \(word) \(bytes(rate))/s")
        }
        for (call, times) in walk.times.sorted(by: { $0.key < $1.key }) {
            let sorted = times.sorted()
            let usual = sorted[sorted.count / 2]
            if usual >= 100_000 { lines.append("cost \(call) \(usual / 1000)us") }
            let outliers = sorted.filter { $0 > 10_000_000 && $0 / 10 > usual }
            if let longest = outliers.last {
                remarks.append(
                    "\(outliers.count) of \(sorted.count) \(call) calls that took far longer than usual, up to \(longest / 1_000_000) ms.")
            }
        }
    }

    private mutating func schedule(_ walk: RecordedWalk) {
        guard walk.hasPrecopy else { return stopCopyEstimates(walk) }
        for reinit in walk.reinits {
            let trigger = walk.trigger(reinit.place)
            rules.append("on \(trigger) do reinit \(bytes(reinit.bytes == 0 ? 0 : max(16, reinit.bytes)))")
            if reinit.lost > 0 {
                remarks.append(
                    "at query \(reinit.place.query) a REINIT that left \(reinit.lost) bytes fewer to read than before: data of a "
                        + "script never shrinks.")
            }
        }
        let dirty = walk.dirtied.filter { $0.bytes > 0 }
        if dirty.count <= Self.mostChanges {
            for change in dirty { rules.append("on \(walk.trigger(change.place)) do dirty \(bytes(max(16, change.bytes)))") }
        } else {
            let mean = dirty.reduce(UInt64(0)) { $0 &+ $1.bytes } / UInt64(max(1, walk.queries))
            rules.append("on call precopy-info do dirty \(bytes(max(16, mean)))")
            remarks.append("the \(dirty.count) amounts by which the dirty bytes grew: the script adds their mean at every query.")
        }
        if walk.beginsWithReinit {
            remarks.append("the first query told of a REINIT: the script has the bytes that it told from the start, and no REINIT there.")
        }
        if walk.unexplained > 0 {
            remarks.append(
                "\(walk.unexplained) of \(walk.queries) queries reported sizes that differ from what was then read: the script reports "
                    + "what it has."
            )
        }
        stopCopyEstimates(walk)
    }

    /// What MIG_DATA_SIZE reported, where that is not what the mock would report by itself.
    private mutating func stopCopyEstimates(_ walk: RecordedWalk) {
        guard !walk.sizes.isEmpty, let stopCopy = walk.stopCopy.map({ max(16, $0) }) else { return }
        var changes: [(size: RecordedWalk.Size, text: String)] = []
        for size in walk.sizes {
            let truth = size.unread &+ (size.isInStopCopy ? 0 : stopCopy)
            let text = size.value == truth ? "exact" : bytes(size.value)
            if changes.last?.text ?? "exact" != text { changes.append((size, text)) }
        }
        guard !changes.isEmpty else { return }
        guard changes.count <= Self.mostChanges else {
            let values = walk.sizes.map(\.value).sorted()
            lines.append("estimate stop-copy \(bytes(values[values.count / 2]))")
            remarks.append("the \(changes.count) changes of the reported stop-copy size: the script reports the median.")
            return
        }
        for (size, text) in changes {
            if size.place.query == 0, !size.isInStopCopy {
                // Before the first query: from the start.
                if !lines.contains(where: { $0.hasPrefix("estimate stop-copy") }) { lines.append("estimate stop-copy \(text)") }
            } else if size.isInStopCopy {
                rules.append("on state STOP_COPY when=1 do estimate stop-copy \(text)")
            } else {
                rules.append("on \(walk.trigger(size.place)) do estimate stop-copy \(text)")
            }
        }
    }

    private mutating func failures(_ walk: RecordedWalk) {
        for failure in walk.failures {
            if let name = errnoName(failure.errno) {
                rules.append("on \(failure.query.map(walk.trigger) ?? failure.trigger) do fail \(name)")
            } else {
                remarks.append("\(failure.trigger): a failure with errno \(failure.errno), for which scripts have no name.")
            }
        }
    }

    private mutating func others(_ walk: RecordedWalk, _ device: RecordedDevice) {
        if walk.savingSessions > 1 {
            remarks.append("saving sessions 2 to \(walk.savingSessions): the schedule is that of the first.")
        }
        if walk.reading.bytes > 0 { remarks.append("the contents of the data: the mock makes its own, of the same length.") }
        for (request, count) in device.otherRequests.sorted(by: { $0.key < $1.key }) {
            remarks.append("the answers to \(count) \(request): the mock has those of its own device.")
        }
        if device.accesses > 0 { remarks.append("\(device.accesses) accesses to regions: the mock has its own configuration space.") }
        if walk.logging > 0 { remarks.append("what \(walk.logging) DMA logging calls reported: nothing is dirty in the mock.") }
        if walk.isCutInSession { remarks.append("how the last session ends: the recording ends before it does.") }
    }

    /// A size as scripts write it.
    private func bytes(_ size: UInt64) -> String {
        for (unit, shift) in [("G", UInt64(30)), ("M", 20), ("K", 10)] where size > 0 && size & (1 << shift - 1) == 0 {
            return "\(size >> shift)\(unit)"
        }
        return "\(size)"
    }
}

/// The name of an errno as scripts have it (`device_script.c`); nil: they have none.
private func errnoName(_ errno: Int64) -> String? {
    let names: [Int64: String] = [
        1: "EPERM", 2: "ENOENT", 4: "EINTR", 5: "EIO", 6: "ENXIO", 7: "E2BIG", 9: "EBADF", 11: "EAGAIN", 12: "ENOMEM", 13: "EACCES",
        14: "EFAULT", 16: "EBUSY", 17: "EEXIST", 19: "ENODEV", 22: "EINVAL", 25: "ENOTTY", 27: "EFBIG", 28: "ENOSPC", 32: "EPIPE",
        34: "ERANGE", 38: "ENOSYS", 42: "ENOMSG", 71: "EPROTO", 75: "EOVERFLOW", 90: "EMSGSIZE", 95: "EOPNOTSUPP", 110: "ETIMEDOUT",
        125: "ECANCELED",
    ]
    return names[errno]
}
