/// The parts of an event's text, which are declared once for reading and for printing.
///
/// `Event.format` gives the parts of a text to a codec, in order. A codec that reads matches the literals and fills in the fields; a codec
/// that prints appends both; a codec that describes collects the format in the notation of QEMU's `trace-events` files.
///
/// The parts of the codecs that read, print and describe are not inlined, but for the literals of a reader: `format` has some 600 of them,
/// and each codec its own `format`. To inline them costs a third of the compiler's time for this module, and gains nothing that the trace
/// benchmark shows.
protocol FieldCodec {
    mutating func event(_ name: StaticString, _ thread: ThreadRole)
    mutating func literal(_ text: StaticString)
    /// Decimal, without leading zeros or a plus sign.
    mutating func decimal<Number: FixedWidthInteger>(_ value: inout Number)
    /// Hexadecimal, lower case, without leading zeros.
    mutating func hexadecimal(_ value: inout UInt64)
    /// A C `bool` printed with `%d`.
    mutating func boolean(_ value: inout Bool)
    /// A number that stands for a word.
    mutating func code(_ value: inout UInt64, hexadecimal: Bool)
    /// Text up to the first `delimiter`, which is read next; an empty delimiter means the rest of the line.
    mutating func text(_ value: inout String, upTo delimiter: StaticString)
    mutating func word<Word: TraceWord>(_ value: inout Word, upTo delimiter: StaticString)
    /// True if the text goes on: a reader looks whether bytes are left, the other codecs return `present`.
    mutating func hasRest(_ present: Bool) -> Bool
    /// Rejects the value just read, which QEMU never prints.
    mutating func refuse()
}

extension FieldCodec {
    @inline(__always)
    mutating func number<Number: FixedWidthInteger>(_ before: StaticString, _ value: inout Number, _ after: StaticString = "") {
        literal(before)
        decimal(&value)
        literal(after)
    }

    @inline(__always)
    mutating func hex(_ before: StaticString, _ value: inout UInt64, _ after: StaticString = "") {
        literal(before)
        hexadecimal(&value)
        literal(after)
    }

    @inline(__always)
    mutating func flag(_ before: StaticString, _ value: inout Bool) {
        literal(before)
        boolean(&value)
    }

    @inline(__always)
    mutating func text(_ before: StaticString, _ value: inout String, _ after: StaticString = "") {
        literal(before)
        text(&value, upTo: after)
        literal(after)
    }

    @inline(__always)
    mutating func word(_ before: StaticString, _ value: inout some TraceWord, _ after: StaticString = "") {
        literal(before)
        word(&value, upTo: after)
        literal(after)
    }

    /// The name of a command of the stream; `(null)` is a number without a command.
    mutating func word(_ before: StaticString, _ value: inout StreamCommand?, _ after: StaticString = "") {
        var name = StreamCommand.Name(value)
        word(before, &name, after)
        value = name.command
    }

    /// The ` (NAME)` that begins every text about a VFIO device.
    @inline(__always)
    mutating func device(_ name: inout String) {
        text(" (", &name, ")")
    }

    /// A number that only some releases print.
    mutating func optional<Number: FixedWidthInteger>(_ before: StaticString, _ value: inout Number?) {
        guard hasRest(value != nil) else {
            value = nil
            return
        }
        var number = value ?? 0
        self.number(before, &number)
        value = number
    }

    @inline(__always)
    mutating func code<Code: RawRepresentable>(_ before: StaticString, _ value: inout Code, hexadecimal: Bool = false)
    where Code.RawValue: FixedWidthInteger {
        var number = value.rawValue
        code(before, &number, hexadecimal: hexadecimal)
        if let code = Code(rawValue: number) { value = code } else { refuse() }
    }

    /// A number that stands for a word; some numbers stand for none.
    @inline(__always)
    mutating func code<Number: FixedWidthInteger>(_ before: StaticString, _ value: inout Number, hexadecimal: Bool = false) {
        literal(before)
        var number = UInt64(value)
        code(&number, hexadecimal: hexadecimal)
        if let number = Number(exactly: number) { value = number } else { refuse() }
    }
}

/// Prints an event as QEMU does, without a line end, and appends it to `bytes`.
struct FieldPrinter: FieldCodec {
    var bytes: [UInt8] = []

    @inline(never)
    mutating func event(_ name: StaticString, _ thread: ThreadRole) {
        literal(name)
        bytes.append(UInt8(ascii: " "))
    }

    @inline(never)
    mutating func literal(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(never)
    mutating func decimal<Number: FixedWidthInteger>(_ value: inout Number) { append(value, radix: 10) }

    @inline(never)
    mutating func hexadecimal(_ value: inout UInt64) { append(value, radix: 16) }

    @inline(never)
    mutating func boolean(_ value: inout Bool) { bytes.append(value ? 0x31 : 0x30) }

    @inline(never)
    mutating func code(_ value: inout UInt64, hexadecimal: Bool) { append(value, radix: hexadecimal ? 16 : 10) }

    /// Prints a line end in a text as a space, since a line cannot hold one.
    @inline(never)
    mutating func text(_ value: inout String, upTo delimiter: StaticString) {
        for byte in value.utf8 { bytes.append(byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") ? UInt8(ascii: " ") : byte) }
    }

    @inline(never)
    mutating func word<Word: TraceWord>(_ value: inout Word, upTo delimiter: StaticString) {
        bytes.append(contentsOf: value.rawValue.utf8)
    }

    mutating func hasRest(_ present: Bool) -> Bool { present }

    mutating func refuse() {}

    @inline(never)
    mutating func append(_ value: some FixedWidthInteger, radix: Int, width: Int = 0) {
        var rest = value.magnitude
        let base = type(of: rest).init(radix)
        let start = bytes.count
        repeat {
            let digit = UInt8(truncatingIfNeeded: rest % base)
            bytes.append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            rest /= base
        } while rest > 0
        while bytes.count - start < width { bytes.append(0x30) }
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        bytes[start...].reverse()
    }
}

/// Collects the name, the thread and the format of an event.
struct FieldDescriber: FieldCodec {
    var name = ""
    var thread = ThreadRole.any
    var format = ""

    @inline(never)
    mutating func event(_ name: StaticString, _ thread: ThreadRole) {
        self.name = name.description
        self.thread = thread
    }

    @inline(never)
    mutating func literal(_ text: StaticString) { format += text.description }
    @inline(never)
    mutating func decimal<Number: FixedWidthInteger>(_ value: inout Number) {
        format += Number.isSigned ? "%d" : "%u"
    }
    @inline(never)
    mutating func hexadecimal(_ value: inout UInt64) { format += "%x" }
    @inline(never)
    mutating func boolean(_ value: inout Bool) { format += "%d" }
    @inline(never)
    mutating func code(_ value: inout UInt64, hexadecimal: Bool) { format += hexadecimal ? "%x" : "%d" }
    @inline(never)
    mutating func text(_ value: inout String, upTo delimiter: StaticString) { format += "%s" }
    @inline(never)
    mutating func word<Word: TraceWord>(_ value: inout Word, upTo delimiter: StaticString) { format += "%s" }
    mutating func hasRest(_ present: Bool) -> Bool { present }
    mutating func refuse() {}
}

/// Takes the name and the thread of an event, and nothing of its text.
struct FieldDeclaration: PartialFieldCodec {
    var name: StaticString = ""
    var thread = ThreadRole.any

    mutating func event(_ name: StaticString, _ thread: ThreadRole) { (self.name, self.thread) = (name, thread) }
    mutating func decimal<Number: FixedWidthInteger>(_ value: inout Number) {}
}

/// A codec that takes what it needs of an event, and passes over the rest. Codes and flags are no numbers here.
protocol PartialFieldCodec: FieldCodec {}

extension PartialFieldCodec {
    mutating func hexadecimal(_ value: inout UInt64) { decimal(&value) }

    mutating func event(_ name: StaticString, _ thread: ThreadRole) {}
    mutating func literal(_ text: StaticString) {}
    mutating func boolean(_ value: inout Bool) {}
    mutating func code(_ value: inout UInt64, hexadecimal: Bool) {}
    mutating func text(_ value: inout String, upTo delimiter: StaticString) {}
    mutating func word<Word: TraceWord>(_ value: inout Word, upTo delimiter: StaticString) {}
    mutating func hasRest(_ present: Bool) -> Bool { present }
    mutating func refuse() {}
}

/// Reads, replaces or checks the numbers of an event.
private struct NumberCodec: PartialFieldCodec {
    enum Task {
        case read
        case replace
        /// Whether each number stays within its field when it grows by its step this often.
        case check(times: Int)
    }

    let task: Task
    /// The numbers of the event; for a check, their steps. There is room for those of any event.
    var numbers = EventNumbers.zero
    var count = 0
    var isInRange = true

    mutating func decimal<Number: FixedWidthInteger>(_ value: inout Number) {
        switch task {
        case .read: numbers[count] = Int64(truncatingIfNeeded: value)
        case .replace: value = Number(truncatingIfNeeded: numbers[count])
        case .check(let times):
            // 2^64 and 2^63 times 2^48 fit into 128 bits.
            if Number(exactly: Int128(value) + Int128(numbers[count]) * Int128(times)) == nil { isInRange = false }
        }
        count += 1
    }
}

/// The numbers of an event as 64-bit patterns; unused places are 0.
package typealias EventNumbers = SIMD8<Int64>

extension Event {
    /// The numbers of the event in the order of its text, and their count.
    var numbers: (values: EventNumbers, count: Int) {
        var copy = self
        var codec = NumberCodec(task: .read)
        copy.format(&codec)
        return (codec.numbers, codec.count)
    }

    /// The same event with other numbers, each truncated to the width of its field.
    func replacing(_ numbers: EventNumbers) -> Event {
        var copy = self
        var codec = NumberCodec(task: .replace, numbers: numbers)
        copy.format(&codec)
        return copy
    }

    /// True if no number leaves its field in any of the repetitions: what grows steadily is in range if its last value is.
    func staysInRange(_ step: EventNumbers, repetitions: Int) -> Bool {
        var copy = self
        var codec = NumberCodec(task: .check(times: repetitions - 1), numbers: step)
        copy.format(&codec)
        return codec.isInRange
    }
}
