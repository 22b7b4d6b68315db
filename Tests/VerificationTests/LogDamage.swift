/// What happens to logs on their way: lines torn by messages of other threads, wrapped by mail programs, cut off by rotation, lost in holes.
import TestSupport

/// A damage that leaves a trace in the log: a reader can see that something is missing.
enum LogDamage: CaseIterable {
    /// A line is split, and another one written between its parts.
    case tear
    /// A message of QEMU runs into a line.
    case message
    /// A stretch of the log is wrapped at a width, as by a mail program.
    case wrap
    /// All of the log is wrapped.
    case wrapAll
    /// The head is cut off at any byte.
    case rotate
    /// The tail is cut off at any byte.
    case cut
    /// A stretch of bytes is NULs.
    case zeros
    /// Terminal echo stands between the lines.
    case echo

    func apply(_ log: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
        guard log.count > 200 else { return log }
        func place(_ random: inout SeededGenerator) -> Int { Int(random.next() % UInt64(log.count)) }
        let newline = UInt8(ascii: "\n")
        switch self {
        case .tear, .message:
            // Within a line: whole lines in another order are no damage that shows.
            var at = place(&random)
            while log[at] == newline || at == 0 || log[at - 1] == newline { at = place(&random) }
            var between = Array("qemu-system-x86_64: warning: the clock runs backwards\n".utf8)
            if self == .tear {
                // The next line of the log is written before the rest of this one.
                let end = log[at...].firstIndex(of: newline) ?? log.endIndex - 1
                let next = log[(end + 1)...].firstIndex(of: newline) ?? end
                guard next > end else { return log }
                between = Array(log[(end + 1)...next])
                return Array(log[..<at]) + between + Array(log[at...end]) + Array(log[(next + 1)...])
            }
            return Array(log[..<at]) + between + Array(log[at...])
        case .wrap, .wrapAll:
            let from = self == .wrap ? place(&random) : 0
            let to = self == .wrap ? min(from + 4000, log.count) : log.count
            let width = 50 + Int(random.next() % 60)
            let atSpaces = random.next() % 4 != 0
            var (wrapped, column, lastSpace) = ([UInt8](), 0, -1)
            for byte in log[from..<to] {
                wrapped.append(byte)
                column += 1
                if byte == newline { (column, lastSpace) = (0, -1) }
                if byte == 0x20 { lastSpace = wrapped.count }
                guard column >= width else { continue }
                if atSpaces, lastSpace > 0, lastSpace < wrapped.count {
                    wrapped.insert(newline, at: lastSpace)
                    column = wrapped.count - lastSpace - 1
                } else {
                    wrapped.append(newline)
                    column = 0
                }
                lastSpace = -1
            }
            return Array(log[..<from]) + wrapped + Array(log[to...])
        case .rotate: return Array(log[place(&random)...])
        case .cut: return Array(log[..<max(place(&random), 100)])
        case .zeros:
            let at = place(&random)
            var holed = log
            for index in at..<min(at + 1 + Int(random.next() % 3000), log.count) { holed[index] = 0 }
            return holed
        case .echo:
            var lines = log.split(separator: newline, omittingEmptySubsequences: false).map(Array.init)
            let at = Int(random.next() % UInt64(lines.count))
            lines.insert(Array("\u{1B}[K(qemu) info migrate".utf8), at: at)
            return Array(lines.joined(separator: [newline]))
        }
    }
}

/// One damage or several, for one side or both.
func damaged(_ pair: [[UInt8]], seed: UInt64) -> (logs: [[UInt8]], what: String) {
    var random = SeededGenerator(seed: seed)
    var logs = pair
    var what: [String] = []
    for _ in 0...(random.next() % 3) {
        let side = Int(random.next() % UInt64(logs.count))
        let damage = LogDamage.allCases[Int(random.next() % UInt64(LogDamage.allCases.count))]
        logs[side] = damage.apply(logs[side], &random)
        what.append("\(damage) of \(side == 0 ? "source" : "destination")")
    }
    return (logs, what.joined(separator: ", "))
}

/// The log without the lines of one event.
func without(_ name: String, _ log: [UInt8]) -> [UInt8] {
    let wanted = Array(name.utf8)
    let lines = log.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).filter { line in
        !line.split(separator: 0x20).prefix(2).contains { word in
            word.elementsEqual(wanted) || word.split(separator: UInt8(ascii: ":")).last.map { $0.elementsEqual(wanted) } == true
        }
    }
    return Array(lines.joined(separator: [UInt8(ascii: "\n")]))
}
