import Plan
import Testing

@testable import Matrix
@testable import Running

/// How many cells run at once, and which limit allows none.
@Suite struct MachineLimitsTests {
    private let ample = MachineLimits(
        descriptors: 1024, fileSize: nil, addressSpace: nil, processorSeconds: nil, memory: 16 << 30, processors: 2)

    @Test(arguments: [
        (nil, SideKind.qemu, 2), (1, .qemu, 1), (12, .qemu, 12), (Int.max, .qemu, 16), (Int.max, .engine, 16), (nil, .engine, 2),
    ])
    func asManyAsAreAskedForAndTheProcessorsAllow(asked: Int?, kind: SideKind, jobs: Int) throws {
        #expect(try ample.jobs(asked: asked, kind: kind) == jobs)
    }

    /// A machine that allows fewer than one for each processor.
    @Test func memoryAndDescriptorsBoundTheNumber() throws {
        var small = ample
        small.processors = 64
        small.memory = 1 << 30
        #expect(try small.jobs(asked: nil, kind: .qemu) == 5)
        small.memory = nil
        small.descriptors = 256
        #expect(try small.jobs(asked: 100, kind: .qemu) == 4)
        small.descriptors = .max
        #expect(try small.jobs(asked: .max, kind: .qemu) == 512)
        small.tasks = 24 + 5 * 40
        #expect(try small.jobs(asked: .max, kind: .qemu) == 5)
    }

    @Test(
        arguments: [
            (\MachineLimits.fileSize, 319 << 20, "size of a file: expected at least 320 MiB, found 319 MiB", "ulimit -f"),
            (\.addressSpace, (3 << 30) - 1, "memory of a process: expected at least 3072 MiB, found 3071 MiB", "ulimit -v"),
            (\.processorSeconds, 119, "processor time of a process: expected at least 120 s, found 119 s", "ulimit -t"),
            (\.memory, 0, "free memory: expected at least 192 MiB, found 0 MiB", "larger machine"),
            (\.tasks, 63, "processes and threads that can be started: expected at least 64, found 63", "ulimit -u"),
        ] as [(WritableKeyPath<MachineLimits, Int?> & Sendable, Int, String, String)])
    func aLimitThatIsTooLowIsNamed(limit: WritableKeyPath<MachineLimits, Int?> & Sendable, value: Int, words: String, remedy: String) {
        var limits = ample
        limits[keyPath: limit] = value
        let error = #expect(throws: Environment.self) { try limits.jobs(asked: nil, kind: .qemu) }
        #expect(error?.description.contains(words) == true && error?.description.contains(remedy) == true, "\(error?.description ?? "")")
        // The engine needs less.
        if value > 16 << 20 { #expect((try? limits.jobs(asked: nil, kind: .engine)) != nil) }
    }

    /// They are counted by starting them, and all of them end.
    @Test func threadsCanBeStarted() {
        #expect(taskRoom(upTo: 100) == 100)
        #expect(taskRoom(upTo: 0) == 0)
    }

    @Test func theLeastNumberOfDescriptorsIsKnown() {
        for (kind, least) in [(SideKind.qemu, 256), (.engine, 40)] {
            var limits = ample
            limits.descriptors = least
            #expect((try? limits.jobs(asked: nil, kind: kind)) != nil)
            limits.descriptors = least - 1
            let error = #expect(throws: Environment.self) { try limits.jobs(asked: nil, kind: kind) }
            #expect(error?.description.contains("expected at least \(least), found \(least - 1)") == true)
        }
    }
}

/// What results tell of a build that is bisected.
@Suite struct BisectionTests {
    private func line(_ ending: String, predicted: [String] = ["completed"], finding: Bool = true, differences: [String] = []) -> ResultLine
    {
        let leg = ResultLine.Leg(
            predicted: .init(endings: predicted, expectsACK: true, counts: []), ending: ending, reason: "why", gating: false, gatedSteps: 0,
            counts: .init(), judges: [], oddOneOut: nil, differences: differences, broken: [])
        return ResultLine(
            cell: "c", product: "p", source: .init(binary: "b", version: "1", machine: "m"),
            destination: .init(binary: "b", version: "1", machine: "m"), selection: [:], legs: [leg], deviations: .init(), finding: finding,
            findings: finding ? ["x"] : [], seconds: 1, reproduce: "")
    }

    private func verdict(_ lines: [ResultLine], whole: Int = 0) -> Bisection.Verdict {
        lines.reduce(into: Bisection()) { $0.add($1) }.verdict(wholeRunFindings: whole)
    }

    @Test func aVerdictNeedsACellThatRanAsItWasAskedFor() {
        let (good, bad) = (line("completed", finding: false), line("waits forever"))
        #expect(verdict([good]) == .good && verdict([bad]) == .bad && verdict([good, bad]) == .bad)
        #expect(verdict([good], whole: 1) == .bad)
        #expect(verdict([line("could not be driven")]) == .cannotTell("c: could not be driven: why"))
        #expect(verdict([line("undecided")]) == .cannotTell("c: undecided: why"))
        #expect(verdict([line("refused")]) == .cannotTell("c: refused: why"))
        // A refusal that was predicted, in other words, is a finding.
        #expect(verdict([line("refused", predicted: ["refused"])]) == .bad)
        let mode = "mode of the source: expected per-device, found legacy"
        #expect(verdict([line("completed", differences: [mode])]) == .cannotTell("c: \(mode)"))
        #expect(verdict([line("undecided"), bad]) == .bad && verdict([good, line("undecided")]) != .good)
    }
}
