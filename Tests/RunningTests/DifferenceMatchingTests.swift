import EnginePeer
import MigrationTrace
import Plan
import TestSupport
import Testing

@testable import Matrix
@testable import Running
@testable import Verification

/// What an entry excuses, and what remains a finding without the entry.
@Suite struct DifferenceMatchingTests {
    private static let loaded = Result { try load() }

    private struct Loaded: Sendable {
        let list: DifferenceList
        let cells: [Cell]
    }

    /// The list of the repository, and the cells of engines under the names of QEMU's.
    private static func load() throws -> Loaded {
        let file = try MatrixFile(path: repositoryFile("harness/matrix/default.yaml"))
        let deviations = try DeviationFile(path: repositoryFile("harness/matrix/deviations.yaml"), axes: file.axes)
        let list = try DifferenceList(path: repositoryFile("harness/matrix/differences.yaml"), axes: file.axes).adding(deviations)
        // The list also has entries for cells that only a QEMU runs.
        let engines = ["10.0", "11.1"].compactMap { ProbedBinary.engine($0) }.map {
            ProbedBinary(binary: $0.binary, features: $0.features, generation: $0.generation) { _ in nil }
        }
        let cells = try Recipe.cells(of: file, tier: .full, binaries: engines).cells.map { cell in
            var cell = cell
            cell.name = cell.sharedName
            return cell
        }
        return Loaded(list: list, cells: cells)
    }

    static let ids = (try? loaded.get().list.all.map(\.id)) ?? []

    private func entry(_ id: String) throws -> ListedDifference {
        try #require(try Self.loaded.get().list.all.first { $0.id == id })
    }

    @Test func theListOfTheRepositoryIsRead() throws {
        let list = try Self.loaded.get().list
        #expect(list.only(.chance).all.count > 20)
        #expect(list.only(.difference).all.count >= 1)
        #expect(Self.ids.count == Set(Self.ids).count)
    }

    /// Each entry is about cells that exist, excuses the difference that it describes, and without the entry the difference is unlisted.
    @Test(arguments: ids) func anEntryExcusesWhatItDescribes(id: String) throws {
        let entry = try entry(id)
        let (cell, leg) = try #require(place(of: entry), "no cell is one that '\(id)' is about")
        let pairs = pairs(entry)
        try #require(!pairs.isEmpty)
        for (what, expected, found) in pairs {
            func run(_ leg: ComparedLeg, at index: Int) -> ComparedRun {
                var legs = Array(
                    repeating: ComparedLeg(judgement: Self.judgement, sequence: ProtocolSequence()), count: cell.forecasts.count)
                legs[index] = leg
                return ComparedRun(legs: legs, ending: "completed")
            }
            let (one, other) = (run(found, at: leg), run(expected, at: leg))
            let account = DifferenceList([entry]).account(of: one, against: other, in: cell)
            #expect(account.unlisted.isEmpty, "\(what)")
            #expect(Set(account.excused.map(\.entry.id)) == [id], "\(what)")
            let without = DifferenceList().account(of: one, against: other, in: cell)
            #expect(!without.unlisted.isEmpty && without.excused.isEmpty, "\(what)")
            // Nor does the entry speak of another cell.
            guard let elsewhere = try Self.loaded.get().cells.first(where: { !entry.concerns($0) && $0.forecasts.count == 1 }) else {
                continue
            }
            let (mine, theirs) = (ComparedRun(legs: [found], ending: "completed"), ComparedRun(legs: [expected], ending: "completed"))
            #expect(!DifferenceList([entry]).account(of: mine, against: theirs, in: elsewhere).unlisted.isEmpty, "\(what)")
        }
    }

    private func place(of entry: ListedDifference) -> (Cell, Int)? {
        guard let cells = try? Self.loaded.get().cells else { return nil }
        for cell in cells {
            for leg in cell.forecasts.indices where entry.scope.concerns(cell, leg: leg) { return (cell, leg) }
        }
        return nil
    }

    static let judgement = Verifier(Circumstances()).judgement()

    /// Pairs of legs, expected and found, that differ in what the entry describes.
    private func pairs(_ entry: ListedDifference) -> [(what: String, expected: ComparedLeg, found: ComparedLeg)] {
        let pattern = entry.pattern
        var pairs: [(String, ComparedLeg, ComparedLeg)] = []
        func leg(_ judgement: Judgement) -> ComparedLeg { ComparedLeg(judgement: judgement, sequence: ProtocolSequence()) }
        for count in pattern.counts.sorted() {
            var other = Self.judgement
            switch count {
            case "requests": other.handshake.requests = ["d": 2]
            case "counted-in": other.handshake.countedIn = ["d": 2]
            case "approvals": other.handshake.approvals = ["d": 2]
            case "acks-sent": other.handshake.acksSent += 1
            case "acks-counted": other.handshake.acksCounted += 1
            default: Issue.record("no pair differs in '\(count)'")
            }
            pairs.append((count, leg(Self.judgement), leg(other)))
        }
        for rule in pattern.rules.sorted() {
            var other = Self.judgement
            other.findings = Rule[id: rule].map { [Finding(rule: $0, found: "", places: [], legal: "")] } ?? []
            let clean = Self.judgement.with { $0.findings = [] }
            pairs += [(rule, leg(clean), leg(other)), (rule, leg(other), leg(clean))]
        }
        guard let steps = pattern.steps else { return pairs }
        for thread in pattern.threads.isEmpty
            ? [ThreadPattern(isSource: true, kind: nil), ThreadPattern(isSource: false, kind: nil)] : pattern.threads
        {
            for texts in self.texts(pattern) {
                func leg(_ texts: [String]) -> ComparedLeg {
                    var threads = [thread.example: texts.map(step)]
                    if let seen = entry.scope.seen.first {
                        let other = ProtocolThread(isSource: true, role: .main)
                        threads[other, default: []].append(step(seen.replacing("*", with: "")))
                    }
                    return ComparedLeg(judgement: Self.judgement, sequence: ProtocolSequence(threads: threads))
                }
                let kept = "runstate_set running -> finish-migrate"
                switch steps {
                case .any:
                    pairs.append(("\(texts[0]) is missing", leg([kept, texts[0]]), leg([kept])))
                    pairs.append(("\(texts[0]) is additional", leg([kept]), leg([texts[0], kept])))
                    pairs.append(("\(texts[0]) comes later", leg([texts[0], kept]), leg([kept, texts[0]])))
                case .alike: pairs.append(("\(texts)", leg([kept, texts[0]]), leg([kept, texts[1]])))
                case .more: pairs.append(("more of \(texts[0])", leg([kept, texts[0]]), leg([kept, texts[0], kept, texts[0]])))
                }
            }
        }
        return pairs
    }

    /// Two texts of steps, each of which the pattern matches.
    private func texts(_ pattern: DifferencePattern) -> [[String]] {
        guard !pattern.texts.isEmpty else {
            return pattern.events.isEmpty
                ? [["migration_thread_after_loop", "migration_thread_setup_complete"]] : pattern.events.sorted().map { [$0, $0] }
        }
        return pattern.texts.indices.map { index in
            let next = pattern.texts[(index + 1) % pattern.texts.count]
            return [pattern.texts[index].replacing("*", with: "1"), next.replacing("*", with: "2")]
        }
    }

    private func step(_ text: String) -> ProtocolStep {
        ProtocolStep(text: text, event: String(text.prefix { $0 != " " }), place: Place(stream: .source, line: 1))
    }

    // MARK: Limits of what is excused

    private func leg(_ texts: [String], _ kind: ThreadPattern.Kind = .returnPath) -> ComparedRun {
        let thread = ThreadPattern(isSource: true, kind: kind).example
        let sequence = ProtocolSequence(threads: [thread: texts.map(step)])
        return ComparedRun(legs: [ComparedLeg(judgement: Self.judgement, sequence: sequence)], ending: "completed")
    }

    private func unlisted(_ id: String, _ expected: ComparedRun, _ found: ComparedRun) throws -> [[String]] {
        let entry = try entry(id)
        let (cell, _) = try #require(place(of: entry))
        return DifferenceList([entry]).account(of: found, against: expected, in: cell).unlisted.map { located in
            guard case .order(let order) = located.difference else { return [located.difference.summary] }
            return (order.expected + order.found).map(\.text)
        }
    }

    /// Of a difference of many steps the first are told, and where the others are.
    @Test func aLongDifferenceIsToldAsAWholeIfThatIsAskedFor() throws {
        let entry = try entry("open-ack-steps")
        let (cell, _) = try #require(place(of: entry))
        let steps = (1...20).map { "migrate_set_state s\($0)" }
        let account = DifferenceList([entry]).account(of: leg(["a"]), against: leg(["a"] + steps), in: cell)
        let difference = try #require(account.unlisted.first?.difference)
        let (short, whole) = (difference.lines(whole: false), difference.lines(whole: true))
        #expect(short.contains { $0.contains("... 12 more; see --verbose") } && !short.contains { $0.contains("s9 ") })
        #expect(!whole.contains { $0.contains("...") } && steps.allSatisfy { step in whole.contains { $0.contains(step + " ") } })
    }

    private static let counted = "source_return_path_thread_switchover_acked"

    /// An ACK may be counted or not where that is open; one that lets the counter underflow is a difference.
    @Test func anUnderflowIsNeverExcused() throws {
        let entry = leg(["source_return_path_thread_entry"])
        #expect(try unlisted("open-ack-steps", entry, leg(["source_return_path_thread_entry", Self.counted])) == [])
        let underflow = "\(Self.counted) (underflow)"
        #expect(try unlisted("open-ack-steps", entry, leg(["source_return_path_thread_entry", underflow])) == [[underflow]])
    }

    /// A source that fails may lose PONGs, and nothing else that its return path brings.
    @Test func aSourceThatDoesNotFailReadsEveryPong() throws {
        let pong = "source_return_path_thread_pong 0x1"
        let failed = "migrate_set_state failed"
        #expect(try unlisted("return-path-of-a-failed-source", leg([pong, failed]), leg([failed])) == [])
        #expect(try unlisted("return-path-of-a-failed-source", leg([pong]), leg([])) == [[pong]])
        #expect(try unlisted("return-path-of-a-failed-source", leg([Self.counted, failed]), leg([failed])) == [[Self.counted]])
    }

    /// The other side may be gone in one of several words; an error of the source's own is none of them.
    @Test func otherErrorsAreNotAlike() throws {
        let (shut, end) = ("migrate_error Sibling indicated error 1", "migrate_error Channel error: Input/output error")
        #expect(try unlisted("peer-is-gone", leg([shut]), leg([end])) == [])
        #expect(try unlisted("peer-is-gone", leg([shut]), leg([])).count == 1)
        #expect(try unlisted("peer-is-gone", leg([shut]), leg(["migrate_error Switchover is interrupted"])).count == 1)
    }

    @Test func whatNeverEndsMayHaveMoreOfTheSame() throws {
        let three = leg(["entry", "ack", "ack", "ack"])
        let id = "requests-without-end"
        #expect(try unlisted(id, leg(["entry", "ack"]), three) == [])
        #expect(try unlisted(id, three, leg(["entry", "ack"])) == [])
        #expect(try unlisted(id, leg(["entry", "ack"]), leg(["entry", "ack", "shut"])) == [["shut"]])
        #expect(try !unlisted(id, three, leg(["entry", "shut"])).isEmpty)
        #expect(try !unlisted(id, leg([]), three).isEmpty)
    }

    @Test func aThreadThatIsCutIsADifferenceUnlessTheWholeThreadMayDiffer() throws {
        let thread = ThreadPattern(isSource: true, kind: .returnPath).example
        let sequence = ProtocolSequence(threads: [thread: [step("ack")]], cut: [thread])
        let cut = ComparedRun(legs: [ComparedLeg(judgement: Self.judgement, sequence: sequence)], ending: "completed")
        #expect(try unlisted("requests-without-end", cut, cut) == [])
        #expect(try unlisted("return-path-of-a-failed-source", cut, cut).count == 1)
    }

    // MARK: Comparisons and their summary

    private func compare(_ found: ComparedRun, _ expected: ComparedRun, _ list: DifferenceList, in cell: Cell) async throws
        -> CellComparison
    {
        let comparison = EngineComparison(found: { _, _ in found }, expected: { _, _ in expected }, list: list)
        guard case .ended(let ended) = try await comparison.compare(SharedCell(both: cell)) else { throw UnmetNeed("left out") }
        return ended
    }

    @Test func whatEachEntryExcusedIsCounted() async throws {
        let entry = try entry("write-to-a-closed-socket")
        let other = try self.entry("order-in-a-race")
        let list = DifferenceList([entry, other])
        let cell = try #require(try Self.loaded.get().cells.first { !$0.isRace })
        let race = try #require(try Self.loaded.get().cells.first { $0.isRace })
        let pipe = leg(["migrate_error Unable to write to socket: Broken pipe"])
        let reset = leg(["migrate_error Unable to write to socket: Connection reset by peer"])
        var summary = ComparisonSummary(list: list)
        summary.add(try await compare(pipe, pipe, list, in: cell))
        summary.add(try await compare(pipe, reset, list, in: cell))
        summary.add(try await compare(reset, pipe, list, in: cell))
        summary.add(try await compare(pipe, leg([]), list, in: cell))
        summary.add(try await compare(pipe, reset, list, in: race))
        #expect(
            summary.closingLine(found: "engine")
                == "5 cells compared: 1 equal, 2 equal but for chance, 1 race (observed way reached by the engine in all), 0 listed differences, "
                + "1 unlisted difference")
        #expect(summary.findings == 1)
        #expect(summary.excusedByEntry.map(\.entry.id) == [entry.id, other.id])
        // The race's difference is one that both entries match, and the one of the cell that differs is none that the entry excuses: it counts
        // what the entry matched.
        #expect(summary.excusedByEntry[1].excuses == ComparisonSummary.Excuses(differences: 1, cells: 1))
        #expect(summary.absent.isEmpty && summary.idle.isEmpty)
    }

    /// An entry that excuses nothing in cells that it is about is a finding, unless it says why that may happen.
    @Test func anEntryThatExcusesNothingIsReported() async throws {
        let all = try Self.loaded.get().list
        let (certain, rare) = (try #require(all.all.first { $0.sometimes == nil }), try #require(all.all.first { $0.sometimes != nil }))
        let list = DifferenceList([certain, rare])
        var summary = ComparisonSummary(list: list)
        #expect(summary.absent.isEmpty && summary.idle.map(\.id) == [certain.id, rare.id])
        for entry in [certain, rare] {
            let (cell, _) = try #require(place(of: entry))
            summary.add(CellComparison(cell: SharedCell(both: cell), outcome: .equal, ending: "completed"))
        }
        #expect(summary.absent.map(\.id) == [certain.id] && summary.idle.isEmpty)
    }
}

extension Judgement {
    fileprivate func with(_ change: (inout Judgement) -> Void) -> Judgement {
        var other = self
        change(&other)
        return other
    }
}

extension ThreadPattern {
    /// A thread that the pattern matches.
    fileprivate var example: ProtocolThread {
        let role: ProtocolThread.Role =
            switch kind {
            case nil, .migration?: .migration
            case .main?: .main
            case .returnPath?: .returnPath
            case .listen?: .listen
            case .iteration?: .iteration("d")
            case .channel?: .multifd("d")
            case .messages?: .messages("pong")
            case .statuses?: .statuses
            case .errors?: .errors
            case .end?: .join
            case .device?: .device("d")
            }
        return ProtocolThread(isSource: isSource, role: role)
    }
}
