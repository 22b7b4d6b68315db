/// The bytes of a log as text in UTF-8 with LF: compressed files, UTF-16 and CR-only line ends are read as they come.
import Glibc

/// The encodings that are recognised by the first bytes.
private enum TextEncoding {
    case plain
    case utf16(isBigEndian: Bool)
    case utf32(isBigEndian: Bool)
    /// Lines end with CR alone.
    case carriageReturns
}

/// Decodes the bytes of another input on their way to a reader, in buffers of fixed size.
final class DecodedInput {
    private static let capacity = 64 * 1024

    private let input: LogReader.Input
    private var encoding: TextEncoding?
    private var raw: [UInt8] = []
    private var place = 0
    private var isOver = false
    /// The first half of a surrogate pair.
    private var surrogate: UInt32?

    init(_ input: @escaping LogReader.Input) { self.input = input }

    func read(into part: UnsafeMutableRawBufferPointer) throws -> Int {
        if encoding == nil {
            try fill()
            encoding = Self.encoding(of: raw)
            if case .utf16 = encoding!, raw.count >= 2, raw[0] ^ raw[1] == 0x01, raw[0] >= 0xFE { place = 2 }
            if case .utf32 = encoding!, raw.prefix(4).contains(0xFE) { place = 4 }
        }
        switch encoding! {
        case .plain: return try plain(part)
        case .carriageReturns:
            let count = try plain(part)
            for index in 0..<count where part[index] == 0x0D { part[index] = 0x0A }
            return count
        case .utf32(let isBigEndian):
            // A unit of 4 bytes is at most 4 in UTF-8.
            if raw.count - place < 4 { try fill() }
            return decodeScalars(min((raw.count - place) / 4, part.count / 4), isBigEndian, part)
        case .utf16(let isBigEndian):
            // A unit of 2 bytes is at most 3 in UTF-8.
            while true {
                if raw.count - place < 2 { try fill() }
                let units = min((raw.count - place) / 2, part.count / 4)
                if units == 0 { return 0 }
                let count = decode(units, isBigEndian, part)
                // A lone half of a pair at the end of a buffer gives no byte yet.
                if count > 0 { return count }
            }
        }
    }

    private func plain(_ part: UnsafeMutableRawBufferPointer) throws -> Int {
        guard place < raw.count else { return isOver ? 0 : try input(part) }
        let count = min(part.count, raw.count - place)
        part.copyBytes(from: raw[place..<place + count])
        place += count
        return count
    }

    private func fill() throws {
        raw.removeFirst(place)
        place = 0
        let kept = raw.count
        raw.append(contentsOf: repeatElement(0, count: Self.capacity))
        // At least two bytes, so that a unit is whole and the encoding can be seen.
        var count = kept
        repeat {
            let more = try raw[count...].withUnsafeMutableBytes { try input(UnsafeMutableRawBufferPointer(rebasing: $0[...])) }
            if more == 0 { isOver = true }
            count += more
        } while !isOver && count < 4096
        raw.removeLast(raw.count - count)
    }

    private func decodeScalars(_ units: Int, _ isBigEndian: Bool, _ part: UnsafeMutableRawBufferPointer) -> Int {
        var count = 0
        for _ in 0..<units {
            let bytes = isBigEndian ? Array(raw[place..<place + 4]) : raw[place..<place + 4].reversed()
            place += 4
            let scalar = bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            for byte in String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8 {
                part[count] = byte
                count += 1
            }
        }
        return count
    }

    private func decode(_ units: Int, _ isBigEndian: Bool, _ part: UnsafeMutableRawBufferPointer) -> Int {
        var count = 0
        func put(_ scalar: UInt32) {
            for byte in String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8 {
                part[count] = byte
                count += 1
            }
        }
        for _ in 0..<units {
            let (first, second) = (UInt32(raw[place]), UInt32(raw[place + 1]))
            place += 2
            let unit = isBigEndian ? first << 8 | second : second << 8 | first
            switch unit {
            case 0xD800...0xDBFF: surrogate = unit
            case 0xDC00...0xDFFF:
                put(surrogate.map { 0x10000 + ($0 - 0xD800) << 10 + (unit - 0xDC00) } ?? 0xFFFD)
                surrogate = nil
            case 0..<0x80:
                part[count] = UInt8(unit)
                count += 1
            default: put(unit)
            }
        }
        return count
    }

    private static func encoding(of bytes: [UInt8]) -> TextEncoding {
        if bytes.starts(with: [0xFF, 0xFE, 0x00, 0x00]) { return .utf32(isBigEndian: false) }
        if bytes.starts(with: [0x00, 0x00, 0xFE, 0xFF]) { return .utf32(isBigEndian: true) }
        if bytes.starts(with: [0xFF, 0xFE]) { return .utf16(isBigEndian: false) }
        if bytes.starts(with: [0xFE, 0xFF]) { return .utf16(isBigEndian: true) }
        let head = bytes.prefix(64)
        if head.count >= 8, head.count % 4 == 0 {
            let zeros = (0..<4).map { place in stride(from: place, to: head.count, by: 4).count { head[$0] == 0 } }
            let all = head.count / 4
            if zeros == [0, all, all, all] { return .utf32(isBigEndian: false) }
            if zeros == [all, all, all, 0] { return .utf32(isBigEndian: true) }
        }
        if head.count >= 8 {
            let zeros = (
                even: stride(from: 0, to: head.count, by: 2).count { head[$0] == 0 },
                odd: stride(from: 1, to: head.count, by: 2).count { head[$0] == 0 }
            )
            if zeros.even == 0, zeros.odd == head.count / 2 { return .utf16(isBigEndian: false) }
            if zeros.odd == 0, zeros.even == (head.count + 1) / 2 { return .utf16(isBigEndian: true) }
        }
        return bytes.contains(0x0D) && !bytes.contains(0x0A) ? .carriageReturns : .plain
    }
}

/// What a file is not that a log must be.
package struct LogFileError: Error, Hashable, Sendable, CustomStringConvertible {
    package let path: String
    package let reason: String
    package var description: String { "\(path): \(reason)" }
}

/// A file that another program unpacks while it is read.
final class UnpackedFile {
    /// Bytes of an unpacked log that are read; more are refused, since a small file may unpack to any size.
    static let most = 64 << 30

    private let path: String
    private let program: String
    private let output: Int32
    private var child: pid_t = 0
    private var count = 0
    private var isReaped = false

    /// The program that unpacks a file with these first bytes; nil for a file that is not compressed.
    static func program(for head: [UInt8]) -> [String]? {
        if head.starts(with: [0x1F, 0x8B]) { return ["gzip", "-dc"] }
        if head.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) { return ["xz", "-dc", "--memlimit=512MiB"] }
        if head.starts(with: [0x28, 0xB5, 0x2F, 0xFD]) { return ["zstd", "-dcq", "--memory=512MB"] }
        if head.starts(with: Array("BZh".utf8)) { return ["bzip2", "-dc"] }
        return nil
    }

    init(_ path: String, _ command: [String]) throws {
        self.path = path
        program = command[0]
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw FileError(operation: "make a pipe for", path: path, code: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        output = ends[0]
        defer { close(ends[1]) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, path, O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
        var argv: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        let code = posix_spawnp(&child, program, &actions, nil, &argv, environ)
        guard code == 0 else {
            isReaped = true
            throw LogFileError(
                path: path, reason: "expected the program \(program) to unpack it, found none; install it, or unpack the file")
        }
    }

    deinit {
        close(output)
        guard !isReaped else { return }
        // A program whose output nobody reads ends by SIGPIPE, one that waits for nothing by this.
        kill(child, SIGTERM)
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    }

    func read(into part: UnsafeMutableRawBufferPointer) throws -> Int {
        while true {
            let more = Glibc.read(output, part.baseAddress, part.count)
            if more < 0, errno == EINTR { continue }
            guard more >= 0 else { throw FileError(operation: "read the unpacked", path: path, code: errno) }
            count += more
            guard count <= Self.most else {
                throw LogFileError(path: path, reason: "expected a log of at most \(Self.most >> 30) GiB, found more when it was unpacked")
            }
            if more == 0, !isReaped {
                isReaped = true
                var status: Int32 = 0
                while waitpid(child, &status, 0) < 0 && errno == EINTR {}
                // A file that is cut still gives its beginning, which the reader sees as cut.
                guard status == 0 || count > 0 else {
                    throw LogFileError(path: path, reason: "\(program) cannot unpack it; is the file whole?")
                }
            }
            return more
        }
    }
}
