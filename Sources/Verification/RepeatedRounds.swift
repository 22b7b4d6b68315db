/// Finds out that a source only waits: its rounds, each from one `savevm_state_iterate` to the next, are equal but for the times.
///
/// Such a source logs tens of thousands of lines a second. Once as many equal rounds as confirm any proof were handled, a further one
/// changes nothing but counters, by the same amount each time (see Repetitions). It is compared with the one before, and counted.
import MigrationTrace

struct RepeatedRounds: Sendable {
    /// In events; a longer round is not compared.
    private static let longest = 512
    /// Equal rounds that are handled before others are counted.
    static let leading = 2 * EndlessProof.confirmations
    /// The same after a window of 100 ms has ended among them.
    static let leadingAfterWindow = 4
    /// Counted rounds that are handled in the end, as the last events before what follows.
    static let trailing = 2

    /// The events of the last whole round, and those of the round in progress.
    private(set) var round: [Event] = []
    private var current: [Event] = []
    private var isComplete = false
    private(set) var equal = 0

    /// True while rounds are only counted.
    private(set) var isCounting = false
    private(set) var counted = 0
    /// How many events of the round in progress are counted.
    private(set) var place = 0
    /// The lines of the events of the last counted rounds, and of the one in progress.
    private(set) var lines: (before: [Int], last: [Int], current: [Int]) = ([], [], [])

    /// What an event is to the rounds.
    enum Step {
        case handle
        /// The round that begins now is the last one to be handled: what it changes is what each further one does.
        case handleAndMeasure
        case count
    }

    mutating func step(_ event: Event) -> Step {
        if isCounting { return event == round[place] ? .count : .handle }
        if case .savevmStateIterate = event {
            // Only a round that was seen from its beginning is one.
            equal = isComplete && !current.isEmpty && current == round ? equal + 1 : 0
            if equal == 0 { swap(&round, &current) }
            current.removeAll(keepingCapacity: true)
            isComplete = true
            if equal == Self.leading {
                isCounting = true
                return .count
            }
            return equal == Self.leading - 1 ? .handleAndMeasure : .handle
        }
        return .handle
    }

    /// The event was handled.
    mutating func handled(_ event: Event) {
        if case .migrateTransferred = event {
            equal = min(equal, Self.leading - Self.leadingAfterWindow)
            return
        }
        guard current.count < Self.longest, event.onlyCounts(in: .source) else { return stop() }
        current.append(event)
    }

    /// The event was counted.
    mutating func count(line: Int) {
        if lines.current.count < round.count {
            lines.current = [Int](repeating: 0, count: round.count)
            lines.last = lines.current
            lines.before = lines.current
        }
        lines.current[place] = line
        place += 1
        guard place == round.count else { return }
        place = 0
        counted += 1
        swap(&lines.before, &lines.last)
        swap(&lines.last, &lines.current)
    }

    /// Ends the counting, as if all rounds had been handled.
    mutating func endCounting() {
        isCounting = false
        equal = Self.leading - Self.leadingAfterWindow
        current = place == 0 ? round : Array(round[..<place])
        (counted, place) = (0, 0)
    }

    /// What follows is another migration, or lines are missing.
    mutating func reset() { self = RepeatedRounds() }

    /// The rounds in progress are none of a source that only waits.
    private mutating func stop() {
        equal = 0
        current.removeAll(keepingCapacity: true)
        isComplete = false
    }
}
