import Foundation
import Testing

/// The shim is loaded into QEMU builds of any age, so it may ask for nothing but an old libc.
@Suite(.enabled(if: FileManager.default.fileExists(atPath: shimPath), "needs the shim named by ACKMATRIX_SHIM: run harness/test"))
struct ShimLibraryTests {
    @Test func itNeedsLibcAloneAndOldSymbolsOnly() throws {
        let text = try output(of: "objdump", ["-p", shimPath])
        let lines = text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
        let needed = lines.filter { $0.hasPrefix("NEEDED") }.map { $0.dropFirst("NEEDED".count).trimmingCharacters(in: .whitespaces) }
        #expect(!needed.isEmpty)
        #expect(Set(needed).isSubset(of: ["libc.so.6", "ld-linux-x86-64.so.2"]), "\(needed)")
        let versions = lines.compactMap { line in line.range(of: "GLIBC_").map { line[$0.upperBound...] } }
        #expect(!versions.isEmpty)
        for version in versions {
            let parts = version.split(separator: ".").compactMap { Int($0) }
            #expect(parts.count >= 2 && (parts[0], parts[1]) <= (2, 17), "GLIBC_\(version)")
        }
    }

    @Test func itExportsTheWrappedNamesAndNothingElse() throws {
        let names = try output(of: "nm", ["-D", "--defined-only", shimPath]).split(separator: "\n").compactMap {
            $0.split(separator: " ").last.map(String.init)
        }
        #expect(
            names.sorted() == [
                "__pread64_chk", "__pread_chk", "__read_chk", "close", "connect", "ioctl", "pread", "pread64", "pwrite", "pwrite64", "read",
                "write",
            ])
    }

    private func output(of tool: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [tool] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        try #require(process.terminationStatus == 0)
        return String(decoding: data, as: UTF8.self)
    }
}
