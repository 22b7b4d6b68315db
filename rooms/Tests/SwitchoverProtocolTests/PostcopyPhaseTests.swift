/// Every command in every phase.
import Testing

@testable import SwitchoverProtocol

@Suite struct PostcopyPhaseTests {
    /// Where a command leads, phase by phase: none, advise, discard, listening, running, end.
    static let table: [(PostcopyCommand, [PostcopyPhase?])] = [
        (.advise, [.advise, nil, nil, nil, nil, nil]),
        (.discard, [nil, .discard, .discard, nil, nil, nil]),
        (.listen, [nil, .listening, .listening, nil, nil, nil]),
        (.run, [nil, nil, nil, .running, nil, nil]),
    ]

    @Test(arguments: Generation.all + Generation.all.map(\.corrected), [true, false])
    func everyCommand(_ generation: Generation, postcopyRAM: Bool) {
        let isWrong = !generation.name.hasSuffix("-corrected")
        #expect(Self.table.map(\.0) == PostcopyCommand.allCases)
        for (command, row) in Self.table {
            for (number, (phase, expected)) in zip(PostcopyPhase.allCases, row).enumerated() {
                let setsBack = command == .listen && phase == .advise && postcopyRAM && isWrong
                do {
                    let next = try phase.after(command, generation, postcopyRAM: postcopyRAM)
                    #expect(next == (setsBack ? .discard : expected), "\(generation.name): \(command) in \(phase)")
                } catch {
                    #expect(expected == nil, "\(generation.name): \(command) in \(phase)")
                    #expect(error.text == "\(command.rawValue) in wrong postcopy state (\(number))")
                }
            }
        }
    }

    @Test func texts() {
        #expect(
            PostcopyCommand.allCases.map(\.rawValue) == [
                "CMD_POSTCOPY_ADVISE", "CMD_POSTCOPY_RAM_DISCARD", "CMD_POSTCOPY_LISTEN", "CMD_POSTCOPY_RUN",
            ])
    }

    /// With nothing to discard a release's destination refuses to run (2), and a corrected one runs.
    @Test func nothingToDiscard() throws {
        func run(_ generation: Generation) throws -> PostcopyPhase {
            try [PostcopyCommand.advise, .listen, .run].reduce(.none) { try $0.after($1, generation, postcopyRAM: true) }
        }
        #expect(throws: ProtocolError("CMD_POSTCOPY_RUN in wrong postcopy state (2)")) { try run(.v11_1) }
        #expect(throws: ProtocolError("CMD_POSTCOPY_RUN in wrong postcopy state (2)")) { try run(.v10_0) }
        #expect(try run(.v11_1.corrected) == .running)
    }

    @Test func pauses() {
        for phase in PostcopyPhase.allCases {
            #expect(phase.pausesOnChannelError(postcopyRAM: true) == (phase == .running))
            #expect(!phase.pausesOnChannelError(postcopyRAM: false))
        }
    }
}
