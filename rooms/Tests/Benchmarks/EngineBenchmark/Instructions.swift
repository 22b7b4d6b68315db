/// How many instructions one cell takes, counted by callgrind: the same on a busy machine as on an idle one.
///
/// This program is run on the cell once and eleven times; a tenth of the difference is the cell, without start and matrix.
import Foundation

/// Throws `Failure` where valgrind or strip are not there.
func instructions(of cell: String) throws -> Int {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("engine-benchmark-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    // Valgrind does not read the debug information of Swift 6.3.
    let program = folder.appendingPathComponent("engine-benchmark").path
    _ = try run(["strip", "--strip-debug", "-o", program, "/proc/self/exe"])
    func collected(times: Int) throws -> Int {
        let out = folder.appendingPathComponent("callgrind.\(times)").path
        _ = try run(["valgrind", "--tool=callgrind", "--callgrind-out-file=\(out)", program, "--cell", cell, "--times", "\(times)"])
        let text = try String(contentsOfFile: out, encoding: .utf8)
        let totals = text.split(separator: "\n").last { $0.hasPrefix("totals: ") || $0.hasPrefix("summary: ") }
        guard let count = totals?.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw Failure("\(out): expected callgrind's totals, found none")
        }
        return count
    }
    return try (collected(times: 11) - collected(times: 1)) / 10
}

/// Runs a command, with hashes that do not change from run to run; what it says on its output.
private func run(_ arguments: [String]) throws -> String {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    // The link to this program is the child's own there.
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    process.arguments = arguments.map { $0 == "/proc/self/exe" ? own : $0 }
    process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_DETERMINISTIC_HASHING": "1"]) { $1 }
    let (output, errors) = (Pipe(), FileHandle.nullDevice)
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw Failure("\(arguments.joined(separator: " ")) failed (status \(process.terminationStatus)); is \(arguments[0]) installed?")
    }
    return text
}
