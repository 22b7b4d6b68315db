/// A story in the format of Chrome's trace viewer, which Perfetto reads: a process for each side, a track for each device.
///
/// The clocks of two hosts may differ by anything. The destination's is shifted by as little as makes no content arrive before it was sent;
/// where no shift does that, each side begins at 0.
import Foundation
import MigrationTrace

package struct PerfettoPicture: Sendable {
    /// An event of the format; what does not apply is left out.
    private struct Event: Encodable {
        var name: String
        var ph: String
        var pid: Int
        var tid: Int
        /// Microseconds.
        var ts: Double?
        var dur: Double?
        var cat: String?
        /// The scope of an instant: its track.
        var s: String?
        var id: Int?
        /// Where an arrow ends: at the step that encloses the time.
        var bp: String?
        var args: [String: Argument]?
    }

    private enum Argument: Encodable {
        case text(String)
        case number(UInt64)

        func encode(to encoder: any Encoder) throws {
            var container = encoder.singleValueContainer()
            switch self {
            case .text(let text): try container.encode(text)
            case .number(let number): try container.encode(number)
            }
        }
    }

    private struct Document: Encodable {
        var traceEvents: [Event]
        var displayTimeUnit = "ms"
        var otherData: [String: String]
    }

    private let story: Story
    private let picture: Picture

    package init(_ story: Story, _ picture: Picture) {
        self.story = story
        self.picture = picture
    }

    package func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let times = times
        let note =
            story.steps.contains { $0.begin != nil }
            ? story.shift.map { "the clock of the destination is shifted by \($0) ns" }
                ?? "each side begins at 0; the clocks cannot be compared"
            : "the logs have no times: each step takes one microsecond"
        let document = Document(
            traceEvents: names + story.steps.indices.flatMap { events(of: $0, at: times[$0]) } + flows(times),
            otherData: ["title": picture.title, "ending": picture.ending, "clocks": note])
        return escapedJSON(String(decoding: try encoder.encode(document), as: UTF8.self)) + "\n"
    }

    /// Microseconds of each step; a step without a time stands behind the one before it on its side, and behind its cause.
    private var times: [Double] {
        guard story.steps.contains(where: { $0.begin != nil }) else { return story.steps.indices.map(Double.init) }
        func first(_ side: PictureSide) -> Int64 { story.steps.lazy.filter { $0.side == side }.compactMap(\.begin).min() ?? 0 }
        let shift = story.shift ?? first(.source) &- first(.destination)
        let start = min(first(.source), first(.destination) &+ shift)
        let causes = Dictionary(grouping: story.links, by: \.to).mapValues { $0.map(\.from) }
        var last: [PictureSide: Double] = [:]
        var times: [Double] = []
        for (index, step) in story.steps.enumerated() {
            let own = step.begin.map { Double(($0 &+ (step.side == .destination ? shift : 0)) &- start) / 1000 }
            let least = (causes[index] ?? []).map { times[$0] }.max() ?? 0
            times.append(own ?? max(last[step.side] ?? 0, least))
            last[step.side] = times[index]
        }
        return times
    }

    private func process(_ side: PictureSide) -> Int { side == .source ? 1 : 2 }

    private var names: [Event] {
        PictureSide.allCases.map { side in
            Event(name: "process_name", ph: "M", pid: process(side), tid: 0, args: ["name": .text(side.rawValue)])
        }
            + picture.lanes.indices.map { lane in
                let (side, device) = (picture.lanes[lane].side, picture.lanes[lane].device)
                let name = device.map { "\(picture.lanes[lane].label) (\($0))" } ?? side.rawValue
                return Event(name: "thread_name", ph: "M", pid: process(side), tid: lane + 1, args: ["name": .text(name)])
            }
    }

    private func events(of index: Int, at time: Double) -> [Event] {
        let step = story.steps[index]
        let row = Picture.Row(side: step.side, steps: [step], sentence: "")
        let name = sentence(of: row, label: picture.label)
        let duration = step.begin.flatMap { begin in step.end.map { Double($0 &- begin) / 1000 } } ?? 1
        let lanes = step.devices.isEmpty ? [picture.lane(step.side, nil)] : step.devices.map { picture.lane(step.side, $0.device) }
        var events = Set(lanes).sorted().map { lane in
            Event(
                name: name, ph: "X", pid: process(step.side), tid: lane + 1, ts: time, dur: max(duration, 1), cat: "handshake",
                args: ["line": .text(step.place.description), "log": .text(step.text)])
        }
        if step.side == .source, let pending = step.pendingACKs {
            events.append(
                Event(name: "ACKs pending", ph: "C", pid: 1, tid: 0, ts: time, args: ["ACKs": .number(UInt64(pending))]))
        }
        for mark in step.devices where step.side == .source {
            let left: UInt64? = step.kind == .marker || step.kind == .initialSent ? 0 : mark.bytes
            guard let left else { continue }
            let label = picture.label(mark.device)
            events.append(Event(name: "initial bytes of \(label)", ph: "C", pid: 1, tid: 0, ts: time, args: ["bytes": .number(left)]))
        }
        return events
    }

    private func flows(_ times: [Double]) -> [Event] {
        story.links.enumerated().flatMap { number, link in
            [(link.from, "s"), (link.to, "f")].map { index, phase in
                let step = story.steps[index]
                let lane = picture.lane(step.side, step.devices.isEmpty ? nil : link.device)
                return Event(
                    name: "\(link.kind)", ph: phase, pid: process(step.side), tid: lane + 1, ts: times[index], cat: "content",
                    id: number + 1,
                    bp: phase == "f" ? "e" : nil)
            }
        }
    }
}
