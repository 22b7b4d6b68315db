/// The steps of both sides in one order in which no effect stands before its cause.
///
/// Each side keeps the order of its log. Of two sides only contents order the steps: a marker before its load, an ACK sent before it is
/// counted, SWITCHOVER_START and SHUT before they are received, and a section before it is read. Where nothing orders two steps, the clocks
/// of the two hosts do if a shift exists with which no content contradicts them; else the destination comes as early as its causes allow.
/// The lines of mock devices stand where the clock of their host puts them, which also stamped QEMU's log on that host, or without times
/// as late as what the device had done allows. This is an order for display: nothing is concluded from it.
import MigrationTrace
import Verification

package struct Story: Sendable {
    /// A cause and its effect, by number of step.
    package struct Link: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            case marker
            case ack
            case switchoverStart
            case shut
        }

        package var kind: Kind
        package var from: Int
        package var to: Int
        /// The device that the content is of, if it is of one.
        package var device: String?
    }

    package private(set) var steps: [Step] = []
    package private(set) var links: [Link] = []
    /// By idstr: the name of the device on each side, as its log or header has it.
    package private(set) var names: [PictureSide: [String: String]] = [:]
    /// The number of queries of the source.
    package private(set) var queries = 0
    /// Steps that are not kept, since there are too many.
    package private(set) var further = 0
    /// Nanoseconds to add to the clock of the destination's host, so that no effect is earlier than its cause; nil where no shift does
    /// that.
    package private(set) var shift: Int64?

    init(_ source: SourceSteps, _ destination: DestinationSteps, mocks: [MockSteps]) {
        queries = source.queries
        further = source.list.further + destination.list.further
        names = [.source: shortNames(source.names.idstrs), .destination: shortNames(destination.names.idstrs)]
        let own = (source: source.finished(), destination: destination.finished())
        var causes = Self.causes(source, destination, own.source, own.destination)
        let sides = mocks.map { mock in
            let names = mock.side == .source ? source.names : destination.names
            return mock.list.steps.map { $0.naming(names) }
        }
        let first = merge(own.source, zip(mocks, sides).filter { $0.0.side == .source }.flatMap(\.1))
        let second = merge(own.destination, zip(mocks, sides).filter { $0.0.side == .destination }.flatMap(\.1))
        causes.move(source: first.places, destination: second.places)
        order(first.steps, second.steps, causes)
    }

    private mutating func order(_ source: [Step], _ destination: [Step], _ causes: Causes) {
        var needs = (source: [Int](repeating: 0, count: source.count), destination: [Int](repeating: 0, count: destination.count))
        for (cause, effect) in causes.toDestination { needs.destination[effect] = max(needs.destination[effect], cause + 1) }
        for (cause, effect) in causes.toSource { needs.source[effect] = max(needs.source[effect], cause + 1) }
        shift = Self.shift(source, destination, causes)
        var places = (source: [Int](), destination: [Int]())
        var isAtSource = false
        while places.source.count < source.count || places.destination.count < destination.count {
            let (i, j) = (places.source.count, places.destination.count)
            let sourceIsReady = i < source.count && needs.source[i] <= j
            let destinationIsReady = j < destination.count && needs.destination[j] <= i
            let goesOn = steps.last.map { last in
                isAtSource ? sourceIsReady && source[i].kind == last.kind : destinationIsReady && destination[j].kind == last.kind
            }
            if sourceIsReady, destinationIsReady {
                if goesOn != true { isAtSource = isEarlier(source[i], destination[j]) }
            } else {
                // Where both wait for each other, the contents contradict the logs, and the source goes on.
                isAtSource = !destinationIsReady && i < source.count
            }
            if isAtSource {
                places.source.append(steps.count)
                steps.append(source[i])
            } else {
                places.destination.append(steps.count)
                steps.append(destination[j])
            }
        }
        links = causes.links.map { link in
            let (from, to) =
                link.isToSource
                ? (places.destination[link.from], places.source[link.to])
                : (places.source[link.from], places.destination[link.to])
            return Link(kind: link.kind, from: from, to: to, device: link.device)
        }.filter { $0.from < $0.to }
    }
}

extension Story {
    /// True if the clocks put the source's step before the destination's.
    private func isEarlier(_ source: Step, _ destination: Step) -> Bool {
        guard let shift, let first = source.begin, let second = destination.begin else { return false }
        return first <= second &+ shift
    }

    /// The smallest shift of the destination's clock with which no link goes back in time.
    private static func shift(_ source: [Step], _ destination: [Step], _ causes: Causes) -> Int64? {
        var (least, most) = (Int64.min, Int64.max)
        for link in causes.links {
            let (cause, effect) =
                link.isToSource
                ? (destination[link.from].end, source[link.to].begin)
                : (source[link.from].begin, destination[link.to].begin)
            guard let cause, let effect else { continue }
            let (difference, overflow) =
                link.isToSource ? effect.subtractingReportingOverflow(cause) : cause.subtractingReportingOverflow(effect)
            guard !overflow else { return nil }
            if link.isToSource { most = min(most, difference) } else { least = max(least, difference) }
        }
        guard least <= most, least > .min || most < .max else { return nil }
        return min(max(0, least), most)
    }
}

/// The name of each device by its idstr; of several names the shortest.
private func shortNames(_ idstrs: [String: String]) -> [String: String] {
    idstrs.reduce(into: [:]) { names, pair in
        guard let other = names[pair.value] else {
            names[pair.value] = pair.key
            return
        }
        if (pair.key.count, pair.key) < (other.count, other) { names[pair.value] = pair.key }
    }
}

/// Which steps must stand before which, by the numbers of each side's own steps.
private struct Causes {
    struct Link {
        var kind: Story.Link.Kind
        var isToSource: Bool
        var from: Int
        var to: Int
        var device: String?
    }

    var links: [Link] = []
    /// Order that is not drawn.
    var others: [(cause: Int, effect: Int)] = []

    var toDestination: [(Int, Int)] { links.filter { !$0.isToSource }.map { ($0.from, $0.to) } + others.map { ($0.cause, $0.effect) } }
    var toSource: [(Int, Int)] { links.filter(\.isToSource).map { ($0.from, $0.to) } }

    /// Steps of other logs were put between: `source` and `destination` are the new numbers of the old ones.
    mutating func move(source: [Int], destination: [Int]) {
        for index in links.indices {
            let link = links[index]
            links[index].from = link.isToSource ? destination[link.from] : source[link.from]
            links[index].to = link.isToSource ? source[link.to] : destination[link.to]
        }
        others = others.map { (source[$0.cause], destination[$0.effect]) }
    }
}

extension Story {
    private static func causes(
        _ source: SourceSteps, _ destination: DestinationSteps, _ sent: [Step], _ received: [Step]
    ) -> Causes {
        var causes = Causes()
        let edges = contentEdges(source: source.contents.entries, destination: destination.contents.entries)
        for edge in edges {
            func step(_ reference: EntryReference) -> Int? {
                let contents = reference.stream == .source ? source.contents : destination.contents
                return contents.steps[reference.ordinal - 1]
            }
            guard let from = step(edge.from), let to = step(edge.to) else { continue }
            switch edge.kind {
            case .marker:
                causes.links.append(.init(kind: .marker, isToSource: false, from: from, to: to, device: sent[from].devices.first?.device))
            case .counted:
                causes.links.append(.init(kind: .ack, isToSource: true, from: from, to: to, device: received[from].devices.first?.device))
            case .approval, .ack, .ping, .pong: break
            }
        }
        func places(_ steps: [Step], _ kind: Step.Kind) -> [Int] { steps.indices.filter { steps[$0].kind == kind } }
        for (from, to) in zip(places(sent, .switchoverStart), places(received, .switchoverStart)) {
            causes.links.append(.init(kind: .switchoverStart, isToSource: false, from: from, to: to))
        }
        for (from, to) in zip(places(received, .shut), places(sent, .shut)) {
            causes.links.append(.init(kind: .shut, isToSource: true, from: from, to: to))
        }
        // A destination is active once the stream has begun, and completed once the source has decided.
        for (cause, effect) in [(Step.Kind.status(.setup), Step.Kind.status(.active)), (.decision, .status(.completed))] {
            if let from = places(sent, cause).first, let to = places(received, effect).first { causes.others.append((from, to)) }
        }
        for (effect, read) in destination.reads {
            // The first record in which the source had begun as many sections.
            guard let written = source.written[read.section]?.first(where: { $0.count >= read.count }), written.steps > 0 else { continue }
            causes.others.append((written.steps - 1, effect))
        }
        return causes
    }
}

/// The steps of a side with those of its mock devices between, by the clock of the host. Also the new numbers of the side's own steps. Of
/// the mock's steps, those before the migration are left out.
private func merge(_ own: [Step], _ mock: [Step]) -> (steps: [Step], places: [Int]) {
    guard let begin = own.lazy.compactMap(\.begin).first, mock.contains(where: { $0.begin != nil }) else {
        return mergeByContents(own, unseen(mock, own))
    }
    // What a fold has no time for stands behind what came before.
    var last: Int64?
    let stamped = mock.map { step in
        var step = step
        last = step.begin ?? last
        step.begin = last
        return step
    }
    var rest = unseen(stamped, own).filter { step in step.begin.map { $0 >= begin } ?? true }[...]
    var (steps, places): ([Step], [Int]) = ([], [])
    for step in own {
        while let next = rest.first, step.end.flatMap({ end in next.begin.map { $0 < end } }) ?? false {
            steps.append(next)
            rest.removeFirst()
        }
        places.append(steps.count)
        steps.append(step)
    }
    return (steps + rest, places)
}

/// The mock's steps without the REINITs of a device whose queries have seen them all.
private func unseen(_ mock: [Step], _ own: [Step]) -> [Step] {
    func counts(_ steps: [Step], _ isCounted: (Step, DeviceMark) -> Bool) -> [String: Int] {
        steps.reduce(into: [:]) { counts, step in
            for mark in step.devices where isCounted(step, mark) { counts[mark.device, default: 0] += step.count }
        }
    }
    let isInjected: (Step, DeviceMark) -> Bool = { step, _ in step.kind == .injected("reinit") }
    let injected = counts(mock, isInjected)
    let seen = counts(
        own.map { step in
            var step = step
            step.count = 1
            return step
        }
    ) { step, mark in mark.reinitialises }
    return mock.filter { step in
        guard step.kind == .injected("reinit"), let device = step.devices.first?.device else { return true }
        return injected[device] != seen[device]
    }
}

/// Without times: a mock's step stands as late as its device's next marker, approval or change of state allows.
private func mergeByContents(_ own: [Step], _ mock: [Step]) -> (steps: [Step], places: [Int]) {
    var waiting = Dictionary(grouping: mock) { $0.devices.first?.device ?? "" }.mapValues { $0[...] }
    var reached: [String: MockAnchor] = [:]
    var (steps, places): ([Step], [Int]) = ([], [])
    for step in own {
        for mark in step.devices {
            var next = reached[mark.device, default: MockAnchor()]
            switch step.kind {
            case .deviceState(let state): next.state = state
            case .marker, .initialSent: next.markers += 1
            case .answer(true, _, _): next.answers += 1
            default: continue
            }
            let now = reached.updateValue(next, forKey: mark.device) ?? MockAnchor()
            while let first = waiting[mark.device]?.first, let anchor = first.anchor, anchor.state == nil || anchor.state == now.state,
                anchor.markers < next.markers || anchor.answers < next.answers || next.state != now.state
            {
                steps.append(first)
                waiting[mark.device]?.removeFirst()
            }
        }
        places.append(steps.count)
        steps.append(step)
    }
    return (steps + mock.filter { step in waiting[step.devices.first?.device ?? ""]?.contains(step) == true }, places)
}
