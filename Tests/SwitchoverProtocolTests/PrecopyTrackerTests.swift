/// What the source knows of a device, call by call.
import Testing

@testable import SwitchoverProtocol

@Suite struct PrecopyTrackerTests {
    enum Call: Sendable {
        case stopCopy(UInt64)
        case stopCopyFails
        case info(UInt64, UInt64, reinit: Bool)
        case infoFails
        case lastCheckFails
        case request
        case read(UInt64)
        case marker
        case collect
        case stateSent
    }

    /// initial, dirty, stop-copy, whether the marker is due, whether a request waits.
    struct View: Equatable, Sendable {
        var initial: UInt64
        var dirty: UInt64
        var stopCopy: UInt64
        var due: Bool
        var request: Bool
        init(_ initial: UInt64, _ dirty: UInt64, _ stopCopy: UInt64, due: Bool = false, request: Bool = false) {
            (self.initial, self.dirty, self.stopCopy, self.due, self.request) = (initial, dirty, stopCopy, due, request)
        }
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var generations = [Generation.v10_0, .v11_1, .v11_1.corrected]
        var calls: [(Call, View)]
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(
            name: "partial reads: initial bytes first, then dirty ones, none below 0",
            calls: [
                (.stopCopy(100), View(0, 0, 100, due: true)),
                (.info(64, 16, reinit: false), View(64, 16, 100)),
                (.request, View(64, 16, 100, request: true)),
                (.collect, View(64, 16, 100)),
                (.read(40), View(24, 16, 60)),
                (.read(24), View(0, 16, 36, due: true)),
                (.marker, View(0, 16, 36)),
                (.read(10), View(0, 6, 26)),
                (.read(90), View(0, 0, 0)),
            ]),
        Case(
            name: "a read across the end of the initial bytes",
            calls: [(.info(10, 10, reinit: false), View(10, 10, 0)), (.read(15), View(0, 5, 0, due: true))]),
        Case(
            name: "no initial bytes: the marker goes out, and the request is made all the same",
            calls: [
                (.info(0, 0, reinit: false), View(0, 0, 0, due: true)), (.request, View(0, 0, 0, due: true, request: true)),
                (.marker, View(0, 0, 0, request: true)), (.collect, View(0, 0, 0)),
            ]),
        Case(
            name: "REINIT before the marker makes no request: the one that waits covers it",
            calls: [
                (.info(8, 0, reinit: false), View(8, 0, 0)), (.request, View(8, 0, 0, request: true)), (.collect, View(8, 0, 0)),
                (.read(4), View(4, 0, 0)),
                (.info(32, 0, reinit: true), View(32, 0, 0)), (.read(32), View(0, 0, 0, due: true)), (.marker, View(0, 0, 0)),
            ]),
        Case(
            name: "REINIT behind the marker makes one, which one query collects",
            calls: [
                (.info(8, 0, reinit: false), View(8, 0, 0)), (.read(8), View(0, 0, 0, due: true)), (.marker, View(0, 0, 0)),
                (.info(32, 2, reinit: true), View(32, 2, 0, request: true)), (.collect, View(32, 2, 0)),
                (.read(32), View(0, 2, 0, due: true)),
                (.marker, View(0, 2, 0)), (.info(0, 0, reinit: false), View(0, 0, 0)),
            ]),
        Case(
            name: "REINIT with no bytes asks for a marker anew",
            calls: [
                (.marker, View(0, 0, 0)), (.info(0, 0, reinit: true), View(0, 0, 0, due: true, request: true)),
                (.info(0, 0, reinit: true), View(0, 0, 0, due: true, request: true)),
            ]),
        Case(
            name: "a last check that fails counts as a request, in releases", generations: [.v10_0, .v11_1],
            calls: [
                (.info(8, 4, reinit: false), View(8, 4, 0)), (.read(8), View(0, 4, 0, due: true)), (.marker, View(0, 4, 0)),
                (.lastCheckFails, View(0, 0, 0, due: true, request: true)),
            ]),
        Case(
            name: "a last check that fails counts as a request, corrected", generations: [.v11_1.corrected],
            calls: [(.marker, View(0, 0, 0)), (.lastCheckFails, View(0, 0, 0, request: true)), (.collect, View(0, 0, 0))]),
        Case(
            name: "a failed query counts as no initial bytes", generations: [.v10_0, .v11_1],
            calls: [(.info(8, 0, reinit: false), View(8, 0, 0)), (.infoFails, View(0, 0, 0, due: true))]),
        Case(
            name: "corrected, the marker waits for an answer", generations: [.v10_0.corrected, .v11_1.corrected],
            calls: [
                (.info(8, 0, reinit: false), View(8, 0, 0)), (.infoFails, View(0, 0, 0)), (.read(0), View(0, 0, 0)),
                (.info(4, 0, reinit: false), View(4, 0, 0)), (.read(4), View(0, 0, 0, due: true)),
            ]),
        Case(
            name: "nothing now, though initial bytes were reported", generations: [.v10_0, .v11_1],
            calls: [(.info(8, 2, reinit: false), View(8, 2, 0)), (.read(0), View(0, 0, 0, due: true))]),
        Case(
            name: "corrected, the next query says", generations: [.v11_1.corrected],
            calls: [
                (.info(8, 2, reinit: false), View(8, 2, 0)), (.read(0), View(0, 0, 0)),
                (.info(0, 0, reinit: false), View(0, 0, 0, due: true)), (.read(0), View(0, 0, 0, due: true)),
            ]),
        Case(
            name: "nothing now, and no initial bytes left",
            calls: [
                (.info(8, 2, reinit: false), View(8, 2, 0)), (.read(8), View(0, 2, 0, due: true)), (.read(0), View(0, 0, 0, due: true)),
            ]),
        Case(name: "a stop-copy query that fails", calls: [(.stopCopyFails, View(0, 0, 107_374_182_400, due: true))]),
        Case(
            name: "what was sent still counts on 11.1", generations: [.v11_1],
            calls: [(.stopCopy(9), View(0, 0, 9, due: true)), (.stateSent, View(0, 0, 9, due: true))]),
        Case(
            name: "and not when corrected", generations: [.v11_1.corrected],
            calls: [(.stopCopy(9), View(0, 0, 9, due: true)), (.stateSent, View(0, 0, 0, due: true))]),
    ]

    @Test(arguments: cases) func tracker(_ example: Case) {
        for generation in example.generations {
            var tracker = PrecopyTracker(generation)
            for (number, (call, view)) in example.calls.enumerated() {
                let waited = tracker.requestsAck
                switch call {
                case .stopCopy(let size): tracker.answered(stopCopy: size)
                case .stopCopyFails: tracker.stopCopyQueryFailed()
                case .info(let initial, let dirty, let reinit):
                    let sent = tracker.isMarkerSent
                    #expect(tracker.answered(initial: initial, dirty: dirty, reinit: reinit) == (reinit && sent))
                case .infoFails: tracker.precopyQueryFailed()
                case .lastCheckFails: tracker.lastCheckFailed()
                case .request: tracker.requestAck()
                case .read(let bytes): tracker.read(bytes)
                case .marker: tracker.markerSent()
                case .collect:
                    #expect(tracker.collect() == waited)
                    #expect(tracker.collect() == false, "a request is made once")
                case .stateSent: tracker.stateSent()
                }
                let seen = View(
                    tracker.initial, tracker.dirty, tracker.stopCopy, due: tracker.isMarkerDue(capability: true),
                    request: tracker.requestsAck)
                #expect(seen == view, "\(generation.name), call \(number): \(call)")
                #expect(!tracker.isMarkerDue(capability: false), "no marker with the capability off")
            }
        }
    }

    @Test func withoutAGenerationItIsThatOf11_1() { #expect(PrecopyTracker() == PrecopyTracker(.v11_1)) }
}
