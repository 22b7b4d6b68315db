import TestSupport
import Testing

@testable import MigrationTrace

@Suite struct FoldingTests {
    /// One entry for each letter: `A` and `a` say something else, digits say the same thing with other numbers.
    static func entries(_ text: String) -> [Entry] {
        text.unicodeScalars.map { Entry(.savevmSendPing(UInt64($0.value)), time: nil) }.map { entry in
            guard case .savevmSendPing(let value)? = entry.event else { return entry }
            return Entry(.vfioSaveCleanup(device: String(UnicodeScalar(UInt8(value)))))
        }
    }

    static func counts(_ numbers: [UInt64]) -> [Entry] { numbers.map { Entry(.migrationBitmapSyncEnd(dirtyPages: $0)) } }

    /// `AB*3 C` is a block of two three times and one entry.
    static func shape(_ stream: FoldedStream) -> String {
        stream.folds.map { fold in
            func letter(_ entry: Entry) -> String {
                switch entry.event {
                case .vfioSaveCleanup(let device)?: device
                case .migrationBitmapSyncEnd(let pages)?: "\(pages)"
                default: "?"
                }
            }
            switch fold {
            case .once(let entry): return letter(entry)
            case .times(let count, let block):
                return block.map { letter($0.first) + ($0.step == .zero ? "" : "+\($0.step[0])") }.joined(separator: "") + "*\(count)"
            }
        }.joined(separator: " ")
    }

    @Test(arguments: [
        ("", ""),
        ("A", "A"),
        ("AA", "A A"),
        ("AAA", "A A A"),
        ("AAAA", "A*4"),
        ("AAAAB", "A*4 B"),
        ("ABABAB", "AB*3"),
        ("XABABABY", "X AB*3 Y"),
        ("ABABABA", "AB*3 A"),
        // A short repetition inside a block does not hide the block.
        ("AABAABAABAAB", "AAB*4"),
        ("AAAABAAAABAAAAB", "AAAAB*3"),
        ("ABCABCABDABCABCABD", "ABCABCABD*2"),
        // Two different blocks behind one another.
        ("ABABABABCDCDCDCD", "AB*4 CD*4"),
        ("ABCDEFABCDEF", "ABCDEF*2"),
    ])
    func foldsWhatRepeats(text: String, folded: String) {
        let stream = FoldedStream(Self.entries(text))
        #expect(Self.shape(stream) == folded)
        #expect(stream.count == text.count)
        #expect(Array(stream) == Self.entries(text))
    }

    @Test(arguments: [
        ([5, 5, 5, 5], "5*4"),
        ([1, 2, 3, 4, 5], "1+1*5"),
        ([100, 90, 80, 70], "100+-10*4"),
        ([1, 2, 4, 8, 16], "1 2 4 8 16"),
        ([1, 2, 3, 5, 7, 9, 11], "1 2 3+2*5"),
        // A number that wraps around does not grow steadily, and a fold has no number out of its field.
        ([UInt64.max - 1, UInt64.max, 0, 1], "18446744073709551614 18446744073709551615 0 1"),
        ([UInt64.max - 4, UInt64.max - 3, UInt64.max - 2, UInt64.max - 1], "18446744073709551611+1*4"),
    ])
    func foldsSteps(numbers: [UInt64], folded: String) {
        let stream = FoldedStream(Self.counts(numbers))
        #expect(Self.shape(stream) == folded)
        #expect(Array(stream) == Self.counts(numbers))
    }

    @Test func timesOfFirstAndLastAreKept() throws {
        let entries = (0..<8).map { Entry(.vfioSaveCleanup(device: $0 % 2 == 0 ? "a" : "b"), time: Int64($0) * 10) }
        let stream = FoldedStream(entries)
        guard case .times(4, let block)? = stream.folds.first else {
            Issue.record("expected one fold, found \(stream.folds)")
            return
        }
        #expect(block.map(\.first.time) == [0, 10])
        #expect(block.map(\.lastTime) == [60, 70])
        #expect(stream.map(\.time) == [0, 10, nil, nil, nil, nil, 60, 70])
    }

    @Test func threadsAreNotMixedUp() {
        let entries = (0..<8).map { Entry(thread: .id($0 % 2), record: .event(.migrationCancel)) }
        let stream = FoldedStream(entries)
        #expect(stream.folds.count == 1)
        #expect(Array(stream) == entries)
    }

    /// An endless wait costs no more memory than a short one.
    @Test func anEndlessRunIsOneFold() {
        var folder = Folder()
        var folds: [Fold] = []
        let block = Self.entries("ABCDEFGH")
        for _ in 0..<20_000 { for entry in block { folder.append(entry, to: &folds) } }
        folder.finish(into: &folds)
        #expect(folds.count == 1)
        #expect(folds.first?.count == 160_000)
    }

    @Test func theLongestBlock() {
        for (length, folded) in [(Folder.longestBlock, true), (Folder.longestBlock + 1, false)] {
            let block = (0..<length).map { Entry(.vfioSaveCleanup(device: "\($0)")) }
            let stream = FoldedStream(block + block + block)
            #expect((stream.folds.count == 1) == folded)
            #expect(stream.count == 3 * length)
            #expect(Array(stream) == block + block + block)
        }
    }

    /// Sequences made to have many half-matching places.
    @Test func workIsBoundedOnHostileSequences() {
        var generator = SeededGenerator(seed: testSeed)
        let hostile: [[Entry]] = [
            (0..<6000).map { _ in Entry(.migrationBitmapSyncEnd(dirtyPages: UInt64.random(in: 0...2, using: &generator))) },
            (0..<6000).map { Entry(.migrationBitmapSyncEnd(dirtyPages: UInt64($0 * $0))) },
            (0..<6000).map { Entry(.vfioSaveCleanup(device: $0 % 511 == 0 ? "\($0)" : "a")) },
            (0..<6000).map { Entry(.vfioSaveCleanup(device: ($0 & ($0 >> 1)).nonzeroBitCount % 2 == 0 ? "a" : "b")) },
        ]
        for entries in hostile { #expect(Array(FoldedStream(entries)) == entries, "seed \(testSeed)") }
    }

    @Test func unfoldingGivesBackAnySequence() {
        var generator = SeededGenerator(seed: testSeed)
        for round in 0..<200 {
            var entries: [Entry] = []
            while entries.count < 400 {
                let length = Int.random(in: 1...12, using: &generator)
                let stepped = Bool.random(using: &generator)
                let block = (0..<length).map { _ in UInt64.random(in: 0...5, using: &generator) }
                for repetition in 0..<UInt64.random(in: 1...9, using: &generator) {
                    entries += block.map { value in
                        stepped
                            ? Entry(.migrationBitmapSyncEnd(dirtyPages: value &+ repetition &* (value &- 2)))
                            : Entry(.vfioSaveCleanup(device: "\(value)"))
                    }
                }
            }
            let stream = FoldedStream(entries)
            #expect(Array(stream) == entries, "seed \(testSeed), round \(round)")
            #expect(stream.count == entries.count, "seed \(testSeed), round \(round)")
        }
    }

    @Test(arguments: LogFiles.all)
    func unfoldingGivesBackEveryLog(path: String) throws {
        var entries: [Entry] = []
        var reader = try LogReader(path: path)
        while let line = try reader.next() {
            if let entry = Entry(line) { entries.append(entry) }
        }
        let stream = FoldedStream(entries)
        let unfolded = Array(stream)
        #expect(unfolded.map(\.record) == entries.map(\.record))
        #expect(unfolded.map(\.thread) == entries.map(\.thread))
        #expect(zip(unfolded, entries).allSatisfy { $0.time == nil || $0.time == $1.time })
        var again = try LogReader(path: path)
        #expect(try FoldedStream(&again) == stream)
    }

    /// What a waiting or draining source prints folds to a few lines.
    @Test(arguments: [
        ("kernel-lab/lm-slowdst/src.trace", 40), ("kernel-lab/mtty-legacy-ack/src.trace", 30), ("qemu/lm-final-2dev.src.log", 3),
    ])
    func realLogsFoldWell(name: String, times: Int) throws {
        var reader = LogReader(try LogFiles.log(name))
        let stream = try FoldedStream(&reader)
        #expect(stream.folds.count * times < stream.count)
    }

    @Test func oneEpisodeCanBeTaken() throws {
        let log = ["setup", "failed", "setup", "completed"].map { "migrate_set_state new state \($0)\n" }.joined()
        var reader = LogReader(Array("migration_cancel \n\(log)".utf8))
        #expect(try FoldedStream(&reader, episode: 2).map(\.event) == [.migrateSetState(.setup), .migrateSetState(.completed)])
    }
}
