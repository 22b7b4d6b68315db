import Foundation
import Testing

@testable import EventGenerator
@testable import MigrationTrace

/// The generated sources are those of `harness/events/trace-events`, and a wrong declaration is refused with its place.
@Suite struct EventGeneratorTests {
    private static let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()

    @Test func generatedFilesAreThoseOfTheDeclarations() throws {
        let text = try String(contentsOf: Self.package.appending(path: GenerateEvents.declarations), encoding: .utf8)
        let folder = Self.package.appending(path: GenerateEvents.folder)
        let files = try GeneratedFile.all(for: EventDeclaration.all(in: text))
        #expect(try Set(FileManager.default.contentsOfDirectory(atPath: folder.path)) == Set(files.map(\.name)))
        for file in files {
            let committed = try String(contentsOf: folder.appending(path: file.name), encoding: .utf8)
            #expect(committed == file.text, "\(file.name) is not what trace-events declares; run: swift run EventGenerator")
        }
    }

    /// A declaration alone gives the case, the reading and printing of its text, and its form.
    @Test func aDeclarationIsAllThatAnEventNeeds() throws {
        let text = """
            ## VFIO: mock device

            # The device did something.
            #: since 10.1; until v2; thread return-path; swift (device: String, _: VFIOState, count: UInt32?)
            device_new_event(const char *device, const char *state, uint32_t count) " (%s) state %s, count %u"
            """
        let files = try GeneratedFile.all(for: EventDeclaration.all(in: text))
        func file(_ name: String) throws -> String { try #require(files.first { $0.name == name }).text }
        #expect(
            try file("Event.swift").contains(
                """
                    /// The device did something.
                    /// Since 10.1, before v2.
                    case deviceNewEvent(device: String, VFIOState, count: UInt32?)

                """))
        #expect(
            try file("EventVocabulary.swift").contains(
                "EventForm(.deviceNewEvent(device: \"\", .placeholder, count: 0), since: \"10.1\", until: \"v2\"),"))
        #expect(
            try file("EventFormatVFIO.swift").contains(
                """
                        case .deviceNewEvent(var device, var state, var count):
                            c.event("device_new_event", .returnPath)
                            c.device(&device)
                            c.word(" state ", &state, ", count ")
                            c.optional("", &count)
                            self = .deviceNewEvent(device: device, state, count: count)

                """))
    }

    @Test(arguments: [
        ("a(void) \"\"", "trace-events:3: expected `## GROUP: SECTION` before the first declaration"),
        ("## A\n", "trace-events:3: expected `## GROUP: SECTION`, found `## A`"),
        ("## A: b\nsomething else", "trace-events:4: expected `NAME(ARGUMENTS) \"FORMAT\"`, found `something else`"),
        (
            "## A: b\na(float x) \"%d\"",
            "trace-events:4: expected a type out of bool, const char *, int, int64_t, uint16_t, uint32_t, uint64_t, found `float x`"
        ),
        ("## A: b\na(uint64_t x) \"%d\"", "trace-events:4: expected a conversion for `uint64_t x`, found %d"),
        ("## A: b\na(uint64_t x) \"x\"", "trace-events:4: expected a conversion for `uint64_t x`, found none"),
        ("## A: b\na(void) \"%u\"", "trace-events:4: expected 0 conversions, found 1"),
        ("## A: b\n#: since\na(void) \"\"", "trace-events:4: expected `thread`, `since`, `until` or `swift` with a value, found `since`"),
        ("## A: b\n#: since 10.1\n\na(void) \"\"", "trace-events:5: expected a declaration after `#:`, found an empty line"),
        ("## A: b\n#: swift (x: Int64, y: Int64)\na(int64_t x) \"%\" PRId64", "trace-events:5: expected 1 arguments in `swift`, found 2"),
        (
            "## A: b\n#: swift (x: UInt32?, y: Bool)\na(uint32_t x, bool y) \"%u %d\"",
            "trace-events:5: expected an optional number at the end of the text, found `x: UInt32?` before it"
        ),
        ("## A: b\na(void) \"\"\na(int x) \"%d\"", "trace-events:1: expected each case once, found a twice; name one with `#: swift CASE`"),
        ("", "trace-events:1: expected declarations of events, found none"),
    ])
    func refusesWhatIsNoDeclaration(text: String, message: String) {
        let error = #expect(throws: DeclarationError.self) { try EventDeclaration.all(in: "# Head.\n\n" + text) }
        #expect(error?.description == message)
    }

    /// Forms that exclude each other are dated so.
    @Test func datesOfFormsAreThoseOfTheirRelease() {
        let dated = Event.vocabulary.filter { $0.since != nil || $0.until != nil }.map {
            "\($0.name) \($0.since ?? "")..<\($0.until ?? "")"
        }
        #expect(dated.contains("loadvm_approve_switchover v1..<"))
        #expect(dated.contains("loadvm_approve_switchover ..<v1"))
        #expect(dated.contains("savevm_request_switchover_ack v1..<v2"))
        #expect(dated.contains("ram_save_complete 10.1..<"))
    }
}
