/// The forms in which a log reaches a reader: what other programs write before each line of QEMU.
///
/// The one table of them is `LogForm.all`. A form is a shape of bytes in a small notation, so a new form is a new row:
///
///     %d digits   %T hh:mm:ss, with a fraction or not   %D yyyy-mm-dd   %z a zone: Z, +0100, +01:00, UTC
///     %b Jan to Dec   %a Mon to Sun   %s one space or more   %_ any number of spaces   %w one character or more that is no space
///     %o an offset: +0100, +01:00   %x two hexadecimal digits   %f the name of a file   %t text without tabs, with spaces or not
///     %p digits that tell the process, such as [PID]; %n a name that tells it, such as that of a container
///     %l labels in braces; %e the structured data of RFC 5424: `-`, or elements in brackets
///     %k a task of the kernel and its thread id, such as `CPU 0/KVM-4242`, which tell no process
///
/// `%w` and `%n` end before the character that follows them in the shape, `%f` before a colon. Anything else stands for itself.
package struct LogForm: Sendable {
    /// The program or option that writes the form, as its users call it.
    package let name: String
    /// True if the wrapping program writes whole lines, so that a line of it is never a part of another one.
    let keepsLinesWhole: Bool
    let parts: [Part]

    enum Part: Sendable, Equatable {
        case byte(UInt8)
        case digits(isProcess: Bool)
        case hexPair, time, date, zone, offset, month, weekday, spaces, optionalSpaces, text, task
        case word(isProcess: Bool, until: UInt8)
        case file, braces, structured
    }

    init(_ name: String, parts: [Part]) { (self.name, self.parts, keepsLinesWhole) = (name, parts, true) }

    init(_ name: String, _ shape: String, keepsLinesWhole: Bool = true) {
        self.name = name
        self.keepsLinesWhole = keepsLinesWhole
        var parts: [Part] = []
        var bytes = shape.utf8.makeIterator()
        while let byte = bytes.next() {
            guard byte == UInt8(ascii: "%"), let kind = bytes.next() else {
                parts.append(.byte(byte))
                continue
            }
            switch kind {
            case UInt8(ascii: "d"): parts.append(.digits(isProcess: false))
            case UInt8(ascii: "p"): parts.append(.digits(isProcess: true))
            case UInt8(ascii: "x"): parts.append(.hexPair)
            case UInt8(ascii: "T"): parts.append(.time)
            case UInt8(ascii: "D"): parts.append(.date)
            case UInt8(ascii: "z"): parts.append(.zone)
            case UInt8(ascii: "o"): parts.append(.offset)
            case UInt8(ascii: "b"): parts.append(.month)
            case UInt8(ascii: "a"): parts.append(.weekday)
            case UInt8(ascii: "s"): parts.append(.spaces)
            case UInt8(ascii: "_"): parts.append(.optionalSpaces)
            case UInt8(ascii: "f"): parts.append(.file)
            case UInt8(ascii: "t"): parts.append(.text)
            case UInt8(ascii: "k"): parts.append(.task)
            case UInt8(ascii: "l"): parts.append(.braces)
            case UInt8(ascii: "e"): parts.append(.structured)
            case UInt8(ascii: "w"): parts.append(.word(isProcess: false, until: 0x20))
            case UInt8(ascii: "n"): parts.append(.word(isProcess: true, until: 0x20))
            default: preconditionFailure("unknown part %\(Character(Unicode.Scalar(kind))) in the shape of \(name)")
            }
        }
        for index in parts.indices.dropLast() {
            if case .word(let isProcess, _) = parts[index], case .byte(let next) = parts[index + 1] {
                parts[index] = .word(isProcess: isProcess, until: next)
            }
        }
        self.parts = parts
    }

    /// What `kubectl logs --timestamps` and others write before each line; the time of a torn line looks the same.
    static let zonedTime = LogForm("time stamps with a zone", "%DT%T%z ")
    static let prompt = LogForm("QEMU's monitor prompt", "(qemu) ", keepsLinesWhole: false)

    /// Every form, the more particular ones first. A line may be in several, one inside the other.
    static let all: [LogForm] = [
        prompt,
        LogForm("a mail quote", "> ", keepsLinesWhole: false),
        LogForm("a mail quote", ">", keepsLinesWhole: false),
        LogForm("stap or dtrace", "%p@%d ", keepsLinesWhole: false),
        LogForm("avocado", "[stdlog] %_"),
        LogForm("avocado", "%D %T %w%sL%d %w%_| [qemu output] "),
        LogForm("avocado", "%D %T %w%sL%d %w%_| "),
        LogForm("avocado", "%T %w%_| [qemu output] "),
        LogForm("GitLab CI", "%DT%T%z %xO "), LogForm("GitLab CI", "%DT%T%z %xO+"),
        LogForm("GitLab CI", "%DT%T%z %xE "), LogForm("GitLab CI", "%DT%T%z %xE+"),
        LogForm("gh run view --log", "%t\t%t\t%DT%T%z "),
        LogForm("a container runtime", "%DT%T%z stdout %w "), LogForm("a container runtime", "%DT%T%z stderr %w "),
        LogForm("kubectl logs --prefix", "[pod/%n] "),
        LogForm("journalctl -o short", "%b%s%d %T %w %w[%p]: "),
        LogForm("journalctl -o short-iso", "%DT%T%z %w %w[%p]: "),
        LogForm("journalctl -o short-full", "%a %D %T %z %w %w[%p]: "),
        LogForm("journalctl -o short-monotonic", "[%_%d.%d] %w %w[%p]: "),
        LogForm("journalctl -o short-delta", "[%_%d.%d <%_%d.%d >] %w %w[%p]: "),
        LogForm("journalctl -o short-unix", "%d.%d %w %w[%p]: "),
        LogForm("syslog", "<%d>%b%s%d %T %w %w[%p]: "),
        LogForm("syslog", "<%d>%d %DT%T%z %w %w %p %w %e "),
        LogForm("syslog", "<%d>%d %DT%T%z %w %w - %w %e "),
        LogForm("syslog", "%b%s%d %T %w %w: "),
        LogForm("syslog", "%DT%T%z %w %w: "),
        LogForm("docker compose", "%n%s| "),
        LogForm("libvirtd", "%D %T%o: %p: %w : %w:%d : "), LogForm("libvirtd", "%D %T%o: %p: "),
        LogForm("logcli", "%DT%T%z %l "), LogForm("logcli", "%l "),
        LogForm("multilog", "@%w "),
        LogForm("ftrace", "%_%k%_[%d]%s%w%s%d.%d: tracing_mark_write: "),
        LogForm("ftrace", "%_%k%_[%d]%s%d.%d: tracing_mark_write: "),
        LogForm("ftrace", "%_%k%_(%_%p) [%d]%s%w%s%d.%d: tracing_mark_write: "),
        LogForm("trace-cmd report", "%_%k%_[%d]%s%w%s%d.%d: %w:%stracing_mark_write: "),
        LogForm("trace-cmd report", "%_%k%_[%d]%s%d.%d: %w:%stracing_mark_write: "),
        LogForm("QEMU's program and thread", "%w %w(%p:%w): ", keepsLinesWhole: false),
        LogForm("QEMU's program and thread", "%w(%p:%w): ", keepsLinesWhole: false),
        LogForm("QEMU's program and thread", "%w %w[%p]: ", keepsLinesWhole: false),
        LogForm("ts", "%b %d %T "), LogForm("ts", "%T "), LogForm("ts", "%d.%d "),
        zonedTime, LogForm("time stamps with a zone", "%D %T%o "),
        LogForm("time stamps with a zone", "%D %T%o: "), LogForm("time stamps with a zone", "%D %T %z "),
        LogForm("time stamps", "%D %T "), LogForm("time stamps", "[%D %T] "), LogForm("time stamps", "[%DT%T%z] "),
        LogForm("grep -n", "%f:%d:"), LogForm("grep -n", "%d:"), LogForm("grep -n", "%d-"),
        LogForm("grep", "%f:"),
        LogForm("a process id", "[%p] "), LogForm("a process id", "[pid %p] "),
        LogForm("a list", "%_* "), LogForm("a list", "%_- "), LogForm("a list", "| "), LogForm("a list", "%_%d%s"),
        LogForm("a byte order mark", "\u{FEFF}", keepsLinesWhole: false),
        LogForm("an indent", "%s", keepsLinesWhole: false),
        // Only behind a time stamp.
        LogForm("-msg guest-name=on", "%w ", keepsLinesWhole: false),
    ]

    /// Forms that are only tried behind a time stamp of QEMU.
    var isBehindStamp: Bool { name == "-msg guest-name=on" }

    /// The place behind the form, and what tells the process (0 if nothing does); nil if the bytes have another form.
    func skip(
        _ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>
    ) -> (inner: UnsafePointer<UInt8>, process: UInt64)? {
        var scan = ShapeScanner(cursor: start, end: end)
        for part in parts {
            let fits =
                switch part {
                case .byte(let byte): scan.byte(byte)
                case .digits(let isProcess): scan.digits(isProcess)
                case .hexPair: scan.hexPair()
                case .time: scan.time()
                case .date: scan.date()
                case .zone: scan.zone()
                case .offset: scan.offset()
                case .month: scan.oneOf("JanFebMarAprMayJunJulAugSepOctNovDec")
                case .weekday: scan.oneOf("MonTueWedThuFriSatSun")
                case .spaces: scan.run { $0 == 0x20 || $0 == 0x09 }
                case .optionalSpaces: scan.optionalSpaces()
                case .text: scan.run { $0 >= 0x20 && $0 != 0x7F }
                case .task: scan.task()
                case .file: scan.file()
                case .braces: scan.braces()
                case .structured: scan.structured()
                case .word(let isProcess, let until): scan.word(isProcess, until)
                }
            guard fits else { return nil }
        }
        return scan.cursor > start ? (scan.cursor, scan.process) : nil
    }
}

private struct ShapeScanner {
    var cursor: UnsafePointer<UInt8>
    let end: UnsafePointer<UInt8>
    var process: UInt64 = 0

    /// A word of a prefix is not longer; what is longer is the text of a line.
    private static let longestWord = 256

    mutating func byte(_ byte: UInt8) -> Bool {
        guard cursor < end, cursor.pointee == byte else { return false }
        cursor += 1
        return true
    }

    mutating func run(_ belongs: (UInt8) -> Bool) -> Bool {
        let start = cursor
        while cursor < end, cursor - start < Self.longestWord, belongs(cursor.pointee) { cursor += 1 }
        return cursor > start
    }

    mutating func digits(_ isProcess: Bool) -> Bool {
        let start = cursor
        guard run({ $0 &- 0x30 <= 9 }) else { return false }
        if isProcess { process = contentHash(start, cursor - start) }
        return true
    }

    mutating func word(_ isProcess: Bool, _ until: UInt8) -> Bool {
        let start = cursor
        guard run({ $0 > 0x20 && $0 != 0x7F && $0 != until }) else { return false }
        if isProcess { process = contentHash(start, cursor - start) }
        return true
    }

    /// `d` is a digit.
    mutating func fields(_ shape: StaticString) -> Bool {
        let count = shape.utf8CodeUnitCount
        guard end - cursor >= count else { return false }
        for index in 0..<count {
            let wanted = shape.utf8Start[index]
            guard wanted == UInt8(ascii: "d") ? cursor[index] &- 0x30 <= 9 : cursor[index] == wanted else { return false }
        }
        cursor += count
        return true
    }

    mutating func optionalSpaces() -> Bool {
        while cursor < end, cursor.pointee == 0x20 || cursor.pointee == 0x09 { cursor += 1 }
        return true
    }

    /// `{app="qemu", pod="web01"}`
    mutating func braces() -> Bool {
        guard byte(UInt8(ascii: "{")) else { return false }
        while cursor < end, cursor.pointee != UInt8(ascii: "}") { cursor += 1 }
        return byte(UInt8(ascii: "}"))
    }

    /// `-`, or `[ID NAME="VALUE"][ID NAME="VALUE"]`
    mutating func structured() -> Bool {
        if byte(UInt8(ascii: "-")) { return true }
        let start = cursor
        while byte(UInt8(ascii: "[")) {
            var isQuoted = false
            while cursor < end, isQuoted || cursor.pointee != UInt8(ascii: "]") {
                if cursor.pointee == UInt8(ascii: "\"") { isQuoted.toggle() }
                if cursor.pointee == UInt8(ascii: "\\") { cursor += 1 }
                cursor += 1
            }
            guard cursor < end, byte(UInt8(ascii: "]")) else { return false }
        }
        return cursor > start
    }

    mutating func hexPair() -> Bool {
        func isHex(_ byte: UInt8) -> Bool { byte &- 0x30 <= 9 || (byte | 0x20) &- 0x61 <= 5 }
        guard end - cursor >= 2, isHex(cursor[0]), isHex(cursor[1]) else { return false }
        cursor += 2
        return true
    }

    /// A name with a letter in it, up to a colon.
    mutating func file() -> Bool {
        let start = cursor
        guard run({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: ":") }) else { return false }
        return (start..<cursor).contains { ($0.pointee | 0x20) &- 0x61 < 26 }
    }

    /// A task's name, which has at most 15 bytes and may have spaces, a `-`, and its id.
    mutating func task() -> Bool {
        let start = cursor
        while cursor < end, cursor - start <= 16 {
            if cursor.pointee == UInt8(ascii: "-"), cursor > start {
                let name = cursor
                cursor += 1
                if digits(false), cursor < end, cursor.pointee == 0x20 || cursor.pointee == UInt8(ascii: "(") { return true }
                cursor = name
            }
            cursor += 1
        }
        return false
    }

    private func number(_ count: Int, at offset: Int) -> Int {
        (0..<count).reduce(0) { $0 * 10 + Int(cursor[offset + $1] &- 0x30) }
    }

    mutating func date() -> Bool {
        let start = cursor
        guard fields("dddd-dd-dd") else { return false }
        cursor = start
        guard 1...12 ~= number(2, at: 5), 1...31 ~= number(2, at: 8) else { return false }
        cursor += 10
        return true
    }

    mutating func time() -> Bool {
        let start = cursor
        guard fields("dd:dd:dd") else { return false }
        cursor = start
        guard number(2, at: 0) < 24, number(2, at: 3) < 60, number(2, at: 6) <= 60 else { return false }
        cursor += 8
        guard cursor < end, cursor.pointee == UInt8(ascii: ".") || cursor.pointee == UInt8(ascii: ",") else { return true }
        cursor += 1
        let fraction = cursor
        return run { $0 &- 0x30 <= 9 } && cursor - fraction <= 9
    }

    mutating func zone() -> Bool {
        guard cursor < end else { return false }
        switch cursor.pointee {
        case UInt8(ascii: "Z"): return byte(UInt8(ascii: "Z"))
        case UInt8(ascii: "+"), UInt8(ascii: "-"): return offset()
        default: return run { $0 &- 0x41 < 26 }
        }
    }

    mutating func offset() -> Bool {
        guard cursor < end, cursor.pointee == UInt8(ascii: "+") || cursor.pointee == UInt8(ascii: "-") else { return false }
        cursor += 1
        return fields("dd:dd") || fields("dddd")
    }

    mutating func oneOf(_ words: StaticString) -> Bool {
        guard end - cursor >= 3 else { return false }
        for place in stride(from: 0, to: words.utf8CodeUnitCount, by: 3) where equalBytes(cursor, words.utf8Start + place, 3) {
            cursor += 3
            return true
        }
        return false
    }
}
