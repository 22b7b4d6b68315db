/// Standard output and standard error: no other file of the command writes to them.
///
/// Standard output carries results, so a write that fails is remembered and decides the exit status: a result that nobody received must not
/// look green. Standard error carries progress and reasons; a reader that has gone away changes nothing. Both are written without a buffer,
/// so that a line is there at once in a file or a pipe, and a signal loses none.
import Foundation
import Glibc
import MigrationTrace
import Synchronization

/// Prints a line of results. Text from outside is safe here: a control character, a line end included, is printed in ASCII.
func say(_ line: String) { StandardOutput.write(escaped(line) + "\n") }

/// Prints a text of several lines, which ends with a line end.
func sayLines(_ text: String) {
    let text = escapedLines(text)
    StandardOutput.write(text.hasSuffix("\n") ? text : text + "\n")
}

/// Prints a value as JSON, in ASCII where a character is no text.
func sayJSON(_ value: some Encodable) throws { StandardOutput.write(try jsonText(value)) }

/// A value as a JSON document that ends with a line end, in ASCII where a character is no text.
func jsonText(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return escapedJSON(String(decoding: try encoder.encode(value), as: UTF8.self)) + "\n"
}

/// A message without the rest of each word that is longer than any name or path: what was typed, or found in a file, may have any length.
func withoutLongWords(_ text: String, length: Int = 5000) -> String {
    guard text.utf8.count > length else { return text }
    return text.split(separator: " ", omittingEmptySubsequences: false).map { word in
        word.utf8.count > length ? "\(word.prefix(100))… (\(word.count) characters)" : String(word)
    }.joined(separator: " ")
}

/// Prints lines about progress or an error on standard error, beside the results.
func note(_ text: String) { writeFully(STDERR_FILENO, escapedLines(text) + "\n") }

enum StandardOutput {
    private static let lost = Atomic(false)
    private static let wasClosed = Atomic(false)

    /// True if something could not be written, so that results are lost.
    static var isLost: Bool { lost.load(ordering: .relaxed) }

    /// Writes exactly this text.
    static func write(_ text: String) {
        if wasClosed.load(ordering: .relaxed) || !writeFully(STDOUT_FILENO, text) { lost.store(true, ordering: .relaxed) }
    }

    /// Call before anything is opened. A file must not get the number of a standard stream that was closed: what is said would be written
    /// into it. And a reader that goes away is an error of a write, not the end of the process.
    static func prepare() {
        signal(SIGPIPE, SIG_IGN)
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(descriptor, F_GETFD) < 0 {
            if descriptor == STDOUT_FILENO { wasClosed.store(true, ordering: .relaxed) }
            // The lowest free number is the one that was closed.
            _ = open("/dev/null", O_RDWR)
        }
    }
}

/// Writes all of the text; false if that cannot be done.
@discardableResult
private func writeFully(_ descriptor: Int32, _ text: String) -> Bool {
    var text = text
    return text.withUTF8 { bytes in
        var rest = UnsafeRawBufferPointer(bytes)[...]
        while !rest.isEmpty {
            let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, rest.count)
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                // A terminal or pipe that another program has made non-blocking.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
            } else if count == 0 || errno != EINTR {
                return false
            }
        }
        return true
    }
}
