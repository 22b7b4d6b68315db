/// Several logs of one process as one input, their lines in the order of their times.

final class MergedInput {
    private struct Source: ~Copyable {
        var lines: LineScanner
        /// The next line with its end, and its time; nil at the end of the log.
        var next: [UInt8]?
        var time: Int64

        init(_ input: @escaping LogReader.Input) throws {
            lines = LineScanner(longestLine: LogReader.longestLine, input)
            time = .min
            try advance()
        }

        mutating func advance() throws {
            guard let line = try lines.next() else {
                next = nil
                return
            }
            var stamp = StampReader(cursor: line.start, end: line.start + line.length)
            if let read = stamp.read() { time = read.realtime }
            next = Array(UnsafeBufferPointer(start: line.start, count: line.length)) + (line.isTerminated ? [0x0A] : [])
        }
    }

    private final class Box {
        var source: Source
        init(_ input: @escaping LogReader.Input) throws { source = try Source(input) }
    }

    private let inputs: [LogReader.Input]
    private var boxes: [Box]?
    private var rest: ArraySlice<UInt8> = []

    init(_ inputs: [LogReader.Input]) { self.inputs = inputs }

    func read(into part: UnsafeMutableRawBufferPointer) throws -> Int {
        if boxes == nil { boxes = try inputs.map(Box.init) }
        var count = 0
        while count < part.count {
            if rest.isEmpty {
                // Of lines with one time, that of the log which was given first comes first.
                guard let box = boxes!.filter({ $0.source.next != nil }).min(by: { $0.source.time < $1.source.time }) else { break }
                rest = box.source.next![...]
                // A log that was cut off ends within a line, and the next log's first line is another one.
                if rest.last != 0x0A, boxes!.contains(where: { $0 !== box && $0.source.next != nil }) { rest.append(0x0A) }
                try box.source.advance()
            }
            let size = min(part.count - count, rest.count)
            UnsafeMutableRawBufferPointer(rebasing: part[count...]).copyBytes(from: rest.prefix(size))
            rest = rest.dropFirst(size)
            count += size
        }
        return count
    }
}
