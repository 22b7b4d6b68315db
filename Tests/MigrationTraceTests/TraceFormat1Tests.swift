import Testing

@testable import MigrationTrace

/// A trace of format 1 is read in the words of format 2.
@Suite struct TraceFormat1Tests {
    private static func header(_ generation: String, mode: String = "legacy", verdict: String = "completed") throws -> TraceHeader {
        let side = "version x\nmachine q35\nfeature generation \(generation)\nfeature failing yes\nfeature mode \(mode)\n"
        let text = """
            ackmatrix-trace 1
            cell c
            outcome completed
            duration -
            verdict \(verdict)
            side source
            name s
            \(side)side destination
            name d
            \(side)stream source 0 -
            stream source.devices 0 -
            stream destination 0 -
            stream destination.devices 0 -
            edges 0
            end 25 0 0

            """
        return try TraceFormatTests.read(text).header
    }

    @Test(arguments: [
        ("8.1", SideTraits.DecisionLimit.belowThreshold, false, false), ("8.1-corrected", .belowThreshold, false, false),
        ("10.0", .belowThreshold, true, false), ("10.0-corrected", .belowThreshold, true, false), ("10.1", .atThreshold, true, false),
        ("postcopy-device-v1", .atThreshold, true, false), ("v1", .atThreshold, true, false), ("11.1", .atThreshold, true, false),
        ("request-message", .atThreshold, true, true), ("request-message-corrected", .atThreshold, true, true),
    ])
    func traitsFollowFromTheGeneration(
        generation: String, decision: SideTraits.DecisionLimit, switchesInDevice: Bool, announcesRequests: Bool
    ) throws {
        let header = try Self.header(generation)
        for side in [header.source, header.destination] {
            #expect(
                side.traits
                    == SideTraits(
                        decision: decision, switchesInDevice: switchesInDevice, announcesRequests: announcesRequests, ackMode: .legacy,
                        newestStatus: nil))
            #expect(side.features == [Setting("generation", generation), Setting("failing", "yes")])
        }
    }

    @Test func whatFormat1SaysOtherwise() throws {
        #expect(try Self.header("11.1", verdict: "waits for ever").verdict == "waits forever")
        #expect(try Self.header("11.1", mode: "per-device").source.traits.ackMode == .perDevice)
        #expect(try Self.header("11.1", mode: "none").source.traits.ackMode == nil)
    }

    @Test func aTraceOfFormat1IsWrittenInFormat2() throws {
        var trace = Trace()
        trace.header = try Self.header("10.0")
        let text = String(decoding: trace.bytes, as: UTF8.self)
        #expect(text.hasPrefix("ackmatrix-trace 2\n"))
        #expect(text.contains("feature failing yes\ntrait decision below-threshold\ntrait switches-in-device yes\n"))
        #expect(try Trace(TraceReader(trace.bytes)) == trace)
    }

    /// Format 1 has no traits; a file with both was put together by hand.
    @Test func aTraitIsRefusedInFormat1() {
        let text = TraceFormatTests.text.replacing("ackmatrix-trace 2", with: "ackmatrix-trace 1")
        let line = text.split(separator: "\n").firstIndex { $0.hasPrefix("trait ") }!
        #expect(TraceFormatTests.error(of: Array(text.utf8))?.position.line == line + 1)
    }
}
