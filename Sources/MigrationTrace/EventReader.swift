/// Reads a typed event from the bytes of its name and text.
///
/// The name gives the forms of the event; the form that matches the text to its last byte is filled in.

/// Reads the fields of one text. After a mismatch `failed` is set and the rest of the text is skipped.
struct FieldReader: FieldCodec {
    var cursor: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    unowned(unsafe) let names: NameTable
    var failed = false

    mutating func event(_ name: StaticString, _ thread: ThreadRole) {}

    mutating func refuse() { failed = true }

    func hasRest(_ present: Bool) -> Bool { cursor < end }

    @inline(__always)
    mutating func literal(_ text: StaticString) {
        let length = text.utf8CodeUnitCount
        if length == 0 { return }
        guard end - cursor >= length, equalBytes(cursor, text.utf8Start, length) else {
            failed = true
            return
        }
        cursor += length
    }

    @inline(never)
    mutating func decimal<Number: FixedWidthInteger>(_ value: inout Number) {
        if failed { return }
        var negative = false
        if Number.isSigned, cursor < end, cursor.pointee == UInt8(ascii: "-") {
            negative = true
            cursor += 1
        }
        // 8.1 to 9.0 print sizes of devices in hexadecimal.
        if end - cursor > 2, cursor.pointee == 0x30, cursor[1] == UInt8(ascii: "x"), !Number.isSigned {
            cursor += 2
            var number: UInt64 = 0
            hexadecimal(&number)
            guard !failed, let exact = Number(exactly: number) else {
                failed = true
                return
            }
            value = exact
            return
        }
        let start = cursor
        var magnitude: UInt64 = 0
        var overflow = false
        while cursor < end {
            let digit = cursor.pointee &- 0x30
            if digit > 9 { break }
            if cursor - start >= 19 {
                let (product, over) = magnitude.multipliedReportingOverflow(by: 10)
                let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
                overflow = overflow || over || carry
                magnitude = sum
            } else {
                magnitude = magnitude &* 10 &+ UInt64(digit)
            }
            cursor += 1
        }
        let digits = cursor - start
        if digits == 0 || overflow || (digits > 1 && start.pointee == 0x30) || (negative && magnitude == 0) {
            failed = true
            return
        }
        if negative {
            guard let number = Number(exactly: Int64(bitPattern: 0 &- magnitude)), magnitude <= 1 << 63 else {
                failed = true
                return
            }
            value = number
        } else {
            guard let number = Number(exactly: magnitude) else {
                failed = true
                return
            }
            value = number
        }
    }

    @inline(never)
    mutating func hexadecimal(_ value: inout UInt64) {
        if failed { return }
        let start = cursor
        var magnitude: UInt64 = 0
        while cursor < end {
            let byte = cursor.pointee
            let digit: UInt8
            if byte &- 0x30 <= 9 { digit = byte &- 0x30 } else if byte &- 0x61 <= 5 { digit = byte &- 0x57 } else { break }
            magnitude = magnitude << 4 | UInt64(digit)
            cursor += 1
        }
        let digits = cursor - start
        if digits == 0 || digits > 16 || (digits > 1 && start.pointee == 0x30) {
            failed = true
            return
        }
        value = magnitude
    }

    @inline(never)
    mutating func boolean(_ value: inout Bool) {
        guard !failed, cursor < end, cursor.pointee == 0x30 || cursor.pointee == 0x31 else {
            failed = true
            return
        }
        value = cursor.pointee == 0x31
        cursor += 1
    }

    mutating func code(_ value: inout UInt64, hexadecimal: Bool) {
        if hexadecimal { self.hexadecimal(&value) } else { decimal(&value) }
    }

    @inline(never)
    mutating func text(_ value: inout String, upTo delimiter: StaticString) {
        if failed { return }
        let length = lengthOfText(upTo: delimiter)
        guard length >= 0, let text = names.text(cursor, length) else {
            failed = true
            return
        }
        value = text
        cursor += length
    }

    mutating func word<Word: TraceWord>(_ value: inout Word, upTo delimiter: StaticString) {
        if failed { return }
        let length = lengthOfText(upTo: delimiter)
        guard length >= 0, let word = Word.allCases.first(where: { isEqual($0.rawValue, length) }) else {
            failed = true
            return
        }
        value = word
        cursor += length
    }

    private func isEqual(_ word: String, _ length: Int) -> Bool {
        guard word.utf8.count == length else { return false }
        var place = cursor
        for byte in word.utf8 {
            if byte != place.pointee { return false }
            place += 1
        }
        return true
    }

    /// The number of bytes before the first `delimiter`; -1 if there is none.
    @inline(__always)
    private func lengthOfText(upTo delimiter: StaticString) -> Int {
        let length = delimiter.utf8CodeUnitCount
        if length == 0 { return end - cursor }
        let first = delimiter.utf8Start.pointee
        var place = cursor
        while place < end {
            if place.pointee == first, end - place >= length, equalBytes(place, delimiter.utf8Start, length) { return place - cursor }
            place += 1
        }
        return -1
    }
}

/// Finds the forms of an event by its name.
final class EventTable {
    private struct Slot {
        var hash: UInt64 = 0
        var name: UnsafePointer<UInt8>
        var length = -1
        var first = 0
        var count = 0
        /// An event of this name was read.
        var isSeen = false
    }

    private static let slotCount = 1024
    private let slots: UnsafeMutablePointer<Slot>
    private let nameBytes: UnsafeMutablePointer<UInt8>
    private let prototypes: UnsafeMutablePointer<Event>
    private let prototypeCount: Int
    static let longestName = 64

    init() {
        var groups: [String: [Event]] = [:]
        for form in Event.vocabulary { groups[form.name, default: []].append(form.prototype) }
        let total = groups.keys.reduce(0) { $0 + $1.utf8.count }
        prototypeCount = Event.vocabulary.count
        nameBytes = .allocate(capacity: total)
        prototypes = .allocate(capacity: prototypeCount)
        slots = .allocate(capacity: Self.slotCount)
        slots.initialize(repeating: Slot(name: UnsafePointer(nameBytes)), count: Self.slotCount)
        var used = 0
        var first = 0
        for (name, forms) in groups {
            let start = nameBytes + used
            for (offset, byte) in name.utf8.enumerated() { start[offset] = byte }
            used += name.utf8.count
            for (offset, form) in forms.enumerated() { prototypes.advanced(by: first + offset).initialize(to: form) }
            let hash = contentHash(start, name.utf8.count)
            var index = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
            while slots[index].length >= 0 { index = (index + 1) & (Self.slotCount - 1) }
            slots[index] = Slot(hash: hash, name: start, length: name.utf8.count, first: first, count: forms.count)
            first += forms.count
        }
    }

    deinit {
        slots.deallocate()
        nameBytes.deallocate()
        prototypes.deinitialize(count: prototypeCount)
        prototypes.deallocate()
    }

    enum Result {
        case unknownName
        case malformed
        case event(Event)
    }

    /// The names of the events that were read since the beginning, or since `forgetSeen`.
    var seen: Set<String> {
        var names: Set<String> = []
        for index in 0..<Self.slotCount where slots[index].isSeen {
            names.insert(String(decoding: UnsafeBufferPointer(start: slots[index].name, count: slots[index].length), as: UTF8.self))
        }
        return names
    }

    func forgetSeen() { for index in 0..<Self.slotCount { slots[index].isSeen = false } }

    /// The words of the events' texts that look like names, such as `section_id`.
    private static let words: Set<String> = Set(
        Event.vocabulary.flatMap { form in
            form.format.split { !($0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber)) }.filter { $0.contains("_") }.map(String.init)
        })

    /// True if a line that begins with these bytes is a part of an event's, or two lines in one: no event has such a name, or a known name
    /// ends with it, or it ends with a known name, or it is a word of an event's text.
    func isPartOfALine(_ name: UnsafePointer<UInt8>, _ length: Int) -> Bool {
        let bytes = UnsafeBufferPointer(start: name, count: length)
        guard bytes[0] &- 0x61 < 26, bytes.contains(where: { $0 &- 0x61 < 26 }) else { return true }
        if Self.words.contains(String(decoding: bytes, as: UTF8.self)) { return true }
        guard length >= 4 else { return false }
        for index in 0..<Self.slotCount where slots[index].length >= 0 {
            let (known, size) = (slots[index].name, slots[index].length)
            if size > length {
                if equalBytes(known + (size - length), name, length) { return true }
            } else if size < length, size >= 10, equalBytes(name + (length - size), known, size) {
                return true
            }
        }
        return false
    }

    /// True if a known name begins with these bytes and goes on.
    func isBeginningOfAName(_ name: UnsafePointer<UInt8>, _ length: Int) -> Bool {
        for index in 0..<Self.slotCount where slots[index].length > length {
            if equalBytes(slots[index].name, name, length) { return true }
        }
        return false
    }

    /// True if an event of the vocabulary has this name.
    func knows(_ name: UnsafePointer<UInt8>, _ length: Int) -> Bool {
        guard 1...Self.longestName ~= length else { return false }
        let hash = contentHash(name, length)
        var index = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while slots[index].length >= 0 {
            if slots[index].hash == hash, slots[index].length == length, equalBytes(slots[index].name, name, length) { return true }
            index = (index + 1) & (Self.slotCount - 1)
        }
        return false
    }

    /// The event of `name` with the text from `text` to `end`.
    func read(
        name: UnsafePointer<UInt8>, length: Int, text: UnsafePointer<UInt8>, end: UnsafePointer<UInt8>, names: NameTable
    ) -> Result {
        if length > Self.longestName { return .unknownName }
        let hash = contentHash(name, length)
        var index = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while true {
            let slot = slots[index]
            if slot.length < 0 { return .unknownName }
            if slot.hash == hash, slot.length == length, equalBytes(slot.name, name, length) {
                for form in slot.first..<slot.first + slot.count {
                    var reader = FieldReader(cursor: text, end: end, names: names)
                    var event = prototypes[form]
                    event.format(&reader)
                    if !reader.failed, reader.cursor == end {
                        slots[index].isSeen = true
                        return .event(event)
                    }
                }
                return .malformed
            }
            index = (index + 1) & (Self.slotCount - 1)
        }
    }
}
