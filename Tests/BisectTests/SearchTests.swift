import Foundation
import TestSupport
import Testing

@testable import Bisect

@Suite struct ListSearchTests {
    /// Every place of the first bad entry, with every choice of entries that cannot be told, of lists of up to seven entries.
    @Test func everyListLeadsToItsFirstBadEntryOrToThoseThatCannotBeToldBeforeIt() {
        for count in 2...7 {
            for firstBad in 1..<count {
                for skips in 0..<(1 << (count - 2)) {
                    var search = ListSearch(count: count)
                    var steps = 0
                    while let index = search.next {
                        steps += 1
                        #expect(index > 0 && index < count - 1)
                        let isSkipped = skips & (1 << (index - 1)) != 0
                        search.set(index, isSkipped ? .skip("") : index >= firstBad ? .bad : .good)
                        if steps > count { break }
                    }
                    #expect(steps <= count)
                    #expect(search.candidates.contains(firstBad), "\(count) entries, first bad \(firstBad), skips \(skips)")
                    // Whatever else may be the first bad one could not be told.
                    let told = search.candidates.dropLast().filter { skips & (1 << ($0 - 1)) == 0 }
                    #expect(told.isEmpty, "\(count) entries, first bad \(firstBad), skips \(skips): \(search.candidates)")
                }
            }
        }
    }

    @Test(arguments: [(2, 0), (3, 1), (4, 2), (9, 3), (64, 6), (65, 6), (66, 7)])
    func itSaysHowManyStepsAreLeft(count: Int, steps: Int) {
        #expect(ListSearch(count: count).stepsLeft == steps)
    }

    @Test func aThousandEntriesTakeTenSteps() {
        for firstBad in [1, 2, 500, 998, 999] {
            var search = ListSearch(count: 1000)
            var steps = 0
            while let index = search.next {
                steps += 1
                search.set(index, index >= firstBad ? .bad : .good)
            }
            #expect(steps <= 10 && search.candidates == [firstBad])
        }
    }
}

@Suite struct BallotTests {
    private static func ballot(_ votes: String, lead: Int, isRare: Bool = false) -> Ballot {
        var ballot = Ballot(lead: lead, isRare: isRare)
        for vote in votes { ballot.add(vote == "b" ? .bad : vote == "g" ? .good : .none("cannot tell")) }
        return ballot
    }

    @Test(
        arguments: [
            ("", 3, false, nil), ("gg", 3, false, nil), ("ggg", 3, false, Judgment.good), ("bbb", 3, false, .bad),
            ("bggg", 3, false, nil), ("bgggg", 3, false, .good), ("gbbbb", 3, false, .bad), ("--", 3, false, nil),
            ("---", 3, false, .skip("cannot tell")), ("---g", 3, false, nil), ("--ggg", 3, false, .good),
            ("b", 4, true, .bad), ("ggg", 4, true, nil), ("gggg", 4, true, .good), ("gggb", 4, true, .bad),
        ] as [(String, Int, Bool, Judgment?)])
    func votesMakeAVerdict(votes: String, lead: Int, isRare: Bool, verdict: Judgment?) {
        #expect(Self.ballot(votes, lead: lead, isRare: isRare).verdict == verdict)
    }

    @Test func votesThatNeverLeadEndAsFlaky() throws {
        let ballot = Self.ballot(String(repeating: "gb", count: 12), lead: 3)
        guard case .skip(let reason)? = ballot.verdict else {
            Issue.record("expected no verdict after \(ballot.runs) runs, found \(String(describing: ballot.verdict))")
            return
        }
        #expect(reason.contains("flaky: 12 of 24 runs"))
    }

    /// A good revision of which three in ten runs fail, a thousand times: the lead of 5 is wrong in about 14 of them.
    @Test func aFlakyRevisionIsSeldomTakenForABadOne() {
        var random = SeededGenerator(seed: testSeed)
        var wrong = 0
        for _ in 0..<1000 {
            var ballot = Ballot(lead: 5)
            while ballot.verdict == nil { ballot.add(Int.random(in: 0..<10, using: &random) < 3 ? .bad : .good) }
            if ballot.verdict == .bad { wrong += 1 }
        }
        #expect(wrong < 50, "\(wrong) of 1000; seed \(testSeed)")
    }
}

@Suite struct SignatureTests {
    private static let ends = Signature.Part(what: "ends", side: "source", phase: .precopy)
    private static let sent = Signature.Part(what: "ack-per-approval", side: "destination", device: "device", phase: .precopy)

    @Test func aFailureIsMatchedByAllOfItsPartsAndByItsEnding() {
        let failure = Signature(ending: "waits forever", parts: [Self.ends])
        #expect(failure.matches(failure))
        #expect(Signature(ending: "waits forever", parts: [Self.sent, Self.ends]).matches(failure))
        #expect(!Signature(ending: "waits forever", parts: [Self.sent]).matches(failure))
        #expect(!Signature(ending: "completed", parts: [Self.ends]).matches(failure))
        var later = Self.ends
        later.phase = .switchover
        #expect(!Signature(ending: "waits forever", parts: [later]).matches(failure))
    }

    @Test func theBadEndIsKnownByWhatItsRunsShare() {
        let both = Signature(ending: "waits forever", parts: [Self.ends, Self.sent])
        let one = Signature(ending: "waits forever", parts: [Self.ends])
        #expect(Signature.shared(by: [both, one]) == one)
        #expect(Signature.shared(by: [one, Signature(ending: "waits forever", parts: [Self.sent])]) == nil)
        #expect(Signature.shared(by: [one, Signature(ending: "completed", parts: [Self.ends])]) == nil)
        #expect(Signature.shared(by: []) == nil)
    }
}

@Suite struct CellPatternTests {
    @Test(
        arguments: [
            ("11.1-10.0+q35-10.0+2-devices", TestedSide.source, "10.0", "build-10.0+q35-11.1+2-devices"),
            ("engine@11.1-engine@10.0+q35-10.0", .source, "10.0", "build-10.0+q35-11.1"),
            ("11.1-10.0+q35-10.0+2-devices", .destination, "11.1", "11.1-build+q35-11.1+2-devices"),
            ("my-qemu-10.0+microvm", .destination, "my-qemu", "my-qemu-build+q35-11.1"),
            ("x-y+q35-10.0+a+b", .both, nil, "build-build+q35-11.1+a+b"),
        ] as [(String, TestedSide, String?, String)])
    func theTestedSideIsLeftOpen(name: String, side: TestedSide, other: String?, title: String) throws {
        let pattern = try CellPattern(name, side: side)
        #expect(pattern.other(among: ["10.0", "11.1", "my-qemu", "qemu"]) == other)
        #expect(pattern.title(machine: "q35-11.1", other: other) == title)
    }

    @Test(arguments: ["", "+", "11.1", "11.1+q35-11.1", "11.1-11.1", "11.1-11.1+"])
    func whatIsNoNameIsRefused(name: String) { #expect(throws: CellPattern.Malformed.self) { try CellPattern(name, side: .both) } }
}
