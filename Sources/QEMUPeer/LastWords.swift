/// The end of what a QEMU has printed on standard error.
import Foundation
import Glibc
import MigrationTrace

/// The most bytes that a QEMU may print on standard error. One that prints more is ended: its output would fill the disk.
let mostStandardError = 64 << 20

/// The last lines of a file, read from its end, whatever its size: each escaped, and cut. Warnings are
/// left out where there is anything else.
func lastWords(of path: String, count: Int = 5) -> [String] {
    let longestTail = 8 << 10
    guard let file = FileHandle(forReadingAtPath: path) else { return [] }
    defer { try? file.close() }
    guard let size = try? file.seekToEnd(), (try? file.seek(toOffset: size - min(size, UInt64(longestTail)))) != nil,
        let tail = try? file.read(upToCount: longestTail)
    else { return [] }
    let lines = tail.split(whereSeparator: { $0 == UInt8(ascii: "\n") || $0 == UInt8(ascii: "\r") }).map { shown($0) }
    let telling = lines.filter { !$0.contains(": warning: ") }
    return (telling.isEmpty ? lines : telling).suffix(count)
}

private func shown(_ line: Data) -> String {
    let longest = 240
    return (line.count > longest ? "…" : "") + escaped(bytes: line.suffix(longest))
}

/// The size of a file in bytes; 0 where there is none.
func fileSize(_ path: String) -> Int {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : 0
}
