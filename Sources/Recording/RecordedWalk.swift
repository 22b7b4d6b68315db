/// A walk through the calls on a device, with the account that the mock would keep: what is unread, what is drained, which query it is.
import MigrationTrace
import VFIO

struct RecordedWalk {
    /// A place in a saving session, by progress.
    struct Place: Hashable {
        /// The last query so far that reached the device, from 1; 0 before the first.
        var query: Int
        /// How often the initial bytes were drained so far, and the queries since; 0 queries: not drained, or no query since.
        var cycle: Int
        var drainedQueries: Int
    }

    struct Amount {
        var place: Place
        var bytes: UInt64
        /// Bytes that were unread before a REINIT and are not after it.
        var lost: UInt64 = 0
    }

    struct Size {
        var place: Place
        var value: UInt64
        /// What the account had as unread then; of a size that was asked for in a session before its first query, what that query told.
        var unread: UInt64
        fileprivate var precedesQueries = false
        var isInStopCopy: Bool

        fileprivate init(place: Place, value: UInt64, unread: UInt64, isInStopCopy: Bool) {
            (self.place, self.value, self.unread, self.isInStopCopy) = (place, value, unread, isInStopCopy)
        }
    }

    struct Failure {
        /// The trigger of the rule that fails the call; of a query that failed, `query` is its place instead.
        var trigger: String
        var errno: Int64
        var query: Place?
    }

    struct Transfer {
        var bytes: UInt64 = 0
        var took: UInt64 = 0

        /// Bytes per second; nil if the data were too few to tell, or came as fast as memory.
        var rate: UInt64? {
            guard bytes >= 256 << 10, took > 0 else { return nil }
            let rate = Double(bytes) * 1e9 / Double(took)
            return rate < Double(2 << 30) ? max(1, UInt64(rate)) : nil
        }
    }

    private(set) var flags: UInt64?
    private(set) var offersInfoV2: Bool?
    private(set) var tracksDirty: Bool?
    private(set) var drainedEnomsg = true
    private(set) var reinitialises = false
    /// The first saving session's initial bytes; nil if nobody asked for them, and none was read.
    private(set) var initial: UInt64?
    /// The bytes that STOP_COPY delivered beyond those that were unread; nil: it was not read to its end.
    private(set) var stopCopy: UInt64?
    private(set) var reinits: [Amount] = []
    private(set) var dirtied: [Amount] = []
    private(set) var sizes: [Size] = []
    /// The first query told of a REINIT: what the initial bytes were before is not known.
    private(set) var beginsWithReinit = false
    private(set) var failures: [Failure] = []
    private(set) var reading = Transfer()
    private(set) var writing = Transfer()
    /// By call, the times of those that succeeded.
    private(set) var times: [String: [UInt64]] = [:]
    private(set) var savingSessions = 0
    private(set) var queries = 0
    private(set) var logging = 0
    /// Queries whose sizes the account does not explain.
    private(set) var unexplained = 0
    private(set) var isCutInSession = false

    private var state = VFIOState.running
    private var usesInfoV2 = false
    private var statesEntered: Set<VFIOState> = []
    // The account of the first saving session.
    private var unreadInitial: UInt64 = 0
    private var unreadDirty: UInt64 = 0
    private var isDrained = false
    private var cycle = 0
    private var drainedQueries = 0
    /// The drained queries of each cycle that a REINIT has ended.
    private var endedCycles: [Int: Int] = [:]
    private var bytesRead: UInt64 = 0
    private var bytesWritten: UInt64 = 0
    private var stopCopyRead: UInt64 = 0
    private var unreadAtStop: UInt64 = 0
    private var wasQueried = false
    private var calls: [String: Int] = [:]

    var hasPrecopy: Bool { flags.map { $0 & 4 != 0 } ?? !statesEntered.isDisjoint(with: [.preCopy, .preCopyP2P]) }
    var hasP2P: Bool { flags.map { $0 & 2 != 0 } ?? !statesEntered.isDisjoint(with: [.runningP2P, .preCopyP2P]) }
    private var isInPrecopy: Bool { state == .preCopy || state == .preCopyP2P }
    private var isFirstSession: Bool { savingSessions == 1 }
    private var place: Place { Place(query: queries, cycle: cycle, drainedQueries: isDrained ? drainedQueries : 0) }

    /// The trigger of a rule that acts at this query.
    func trigger(_ place: Place) -> String {
        guard place.drainedQueries > 0 else { return "session-query \(max(1, place.query)) when=1" }
        // The trigger occurs in each cycle that has as many queries.
        let earlier = endedCycles.count { $0.key < place.cycle && $0.value >= place.drainedQueries }
        return "query \(place.drainedQueries) when=\(earlier + 1)"
    }

    mutating func take(_ call: RecordedCall) {
        switch call.kind {
        case .feature(let flags, let output): feature(flags, output, call.result)
        case .state(let new, let opens): enter(new, opens: opens, call)
        case .dataSize(let value): size(value, call)
        case .precopyInfo(let initial, let dirty, let flags): query(initial, dirty, flags, call)
        case .read: read(call)
        case .write: write(call)
        case .reset:
            count(call, "reset")
            if call.result >= 0 { leaveSession(for: .running) } else { fail(call, "call reset when=\(calls["reset"] ?? 1)") }
        case .close: break
        }
    }

    private mutating func count(_ call: RecordedCall, _ name: String) {
        calls[name, default: 0] += 1
        if call.result >= 0 { times[name, default: []].append(call.took) }
    }

    private mutating func fail(_ call: RecordedCall, _ trigger: String, query: Place? = nil) {
        failures.append(Failure(trigger: trigger, errno: Int64(min(call.result.magnitude, 1 << 20)), query: query))
    }

    private mutating func feature(_ flags: UInt32, _ output: [UInt8], _ result: Int64) {
        let operations = FeatureOperation(rawValue: flags & ~0xffff)
        switch MigrationFeature(rawValue: flags & 0xffff) {
        case .migration where result >= 0 && operations == .get && output.count >= 8:
            self.flags = output.prefix(8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        case .precopyInfoV2:
            offersInfoV2 = result >= 0
            if result >= 0, operations == .set { usesInfoV2 = true }
        case .dmaLoggingStart where operations.contains(.probe): tracksDirty = result >= 0
        case .dmaLoggingStart, .dmaLoggingStop, .dmaLoggingReport: logging += 1
        default: break
        }
    }

    // MARK: States

    private mutating func enter(_ new: VFIOState, opens: Bool, _ call: RecordedCall) {
        count(call, "set-state")
        guard call.result >= 0 else {
            fail(call, "call set-state when=\(calls["set-state"] ?? 1)")
            return
        }
        let saves = [.preCopy, .preCopyP2P, .stopCopy].contains(new)
        statesEntered.insert(new)
        if !saves { return leaveSession(for: new) }
        if opens || !isInSavingSession {
            savingSessions += 1
            isCutInSession = true
        }
        state = new
        if new == .stopCopy, isFirstSession { unreadAtStop = unreadInitial &+ unreadDirty }
    }

    private var isInSavingSession: Bool { isInPrecopy || state == .stopCopy }

    private mutating func leaveSession(for new: VFIOState) {
        if state == .stopCopy, isFirstSession, stopCopy == nil, stopCopyRead > 0 {
            stopCopy = stopCopyRead > unreadAtStop ? stopCopyRead - unreadAtStop : 0
        }
        isCutInSession = new == .resuming
        state = new
    }

    // MARK: Queries

    private mutating func size(_ value: UInt64, _ call: RecordedCall) {
        count(call, "data-size")
        guard call.result >= 0 else { return fail(call, "call data-size when=\(calls["data-size"] ?? 1)") }
        guard savingSessions <= 1 else { return }
        let unread = state == .stopCopy ? 0 : isInSavingSession ? unreadInitial &+ unreadDirty : 0
        var size = Size(place: place, value: value, unread: unread, isInStopCopy: state == .stopCopy)
        size.precedesQueries = isInSavingSession && isInPrecopy && !wasQueried
        sizes.append(size)
    }

    private mutating func query(_ newInitial: UInt64, _ newDirty: UInt64, _ flags: UInt64, _ call: RecordedCall) {
        count(call, "precopy-info")
        // The first session's schedule; outside of PRE_COPY every device answers EINVAL.
        guard isFirstSession, isInPrecopy else { return }
        queries += 1
        if isDrained { drainedQueries += 1 }
        guard call.result >= 0 else { return fail(call, "query \(queries)", query: place) }
        defer {
            (unreadInitial, unreadDirty) = (newInitial, newDirty)
            wasQueried = true
        }
        guard wasQueried else {
            initial = newInitial &+ bytesRead
            for index in sizes.indices where sizes[index].precedesQueries { sizes[index].unread = newInitial &+ newDirty &+ bytesRead }
            unreadDirty = 0
            beginsWithReinit = usesInfoV2 && flags & 1 != 0
            isDrained = newInitial == 0
            if isDrained { drainedQueries = 1 }
            if newDirty > 0 { dirtied.append(Amount(place: place, bytes: newDirty)) }
            return
        }
        let unread = unreadInitial &+ unreadDirty
        // Without INFOv2 the flag is the caller's own, and only the growth of the initial bytes shows a re-initialisation.
        if usesInfoV2 ? flags & 1 != 0 : newInitial > unreadInitial {
            reinitialises = true
            let added = newInitial > unread ? newInitial - unread : 0
            reinits.append(Amount(place: place, bytes: added, lost: newInitial < unread ? unread - newInitial : 0))
            if isDrained { endedCycles[cycle] = drainedQueries }
            if newInitial > 0 { (isDrained, drainedQueries) = (false, 0) }
            if newDirty > 0 { dirtied.append(Amount(place: reinits[reinits.count - 1].place, bytes: newDirty)) }
            return
        }
        if newInitial != unreadInitial || newDirty < unreadDirty { unexplained += 1 }
        if newDirty > unreadDirty { dirtied.append(Amount(place: place, bytes: newDirty - unreadDirty)) }
    }

    // MARK: Data

    private mutating func read(_ call: RecordedCall) {
        guard call.result > 0 else {
            if isInPrecopy, call.result == 0 { drainedEnomsg = false }
            if call.result < 0, call.result != -42 { fail(call, "read \(bytesRead &+ 1) when=1") }
            if call.result == 0, state == .stopCopy, isFirstSession, stopCopy == nil {
                stopCopy = stopCopyRead > unreadAtStop ? stopCopyRead - unreadAtStop : 0
            }
            return
        }
        let count = UInt64(call.result)
        reading.bytes &+= count
        reading.took &+= call.took
        guard isFirstSession else { return }
        bytesRead &+= count
        guard isInPrecopy else {
            stopCopyRead &+= count
            return
        }
        var rest = count
        if wasQueried {
            let part = min(rest, unreadInitial)
            unreadInitial -= part
            rest -= part
        } else {
            initial = (initial ?? 0) &+ count
            rest = 0
        }
        let part = min(rest, unreadDirty)
        unreadDirty -= part
        rest -= part
        // More than any query has told: it became dirty since.
        if rest > 0 { dirtied.append(Amount(place: place, bytes: rest)) }
        if unreadInitial == 0, wasQueried, !isDrained {
            isDrained = true
            cycle += 1
            drainedQueries = 0
        }
    }

    private mutating func write(_ call: RecordedCall) {
        guard call.result >= 0 else { return fail(call, "written \(bytesWritten &+ 1) when=1") }
        writing.bytes &+= UInt64(call.result)
        writing.took &+= call.took
        bytesWritten &+= UInt64(call.result)
    }
}
