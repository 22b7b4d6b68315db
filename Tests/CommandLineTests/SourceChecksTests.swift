import Foundation
import Testing

/// `harness/check-sources`, on this repository and on a tree where each of its checks must find something.
@Suite(.enabled(if: pythonIsInstalled, "harness/check-sources needs python3"))
struct SourceChecksTests {
    @Test func theRepositoryHasNoViolation() throws {
        let (text, status) = try check([])
        #expect(status == 0, "\(text)")
    }

    /// Each row is one file of the bad tree and the violation that it must cause.
    static let bad: [(path: String, text: String, violation: String)] = [
        ("Sources/Long/Long.swift", String(repeating: "//\n", count: 501), "Long.swift:1: sizes: the file has 501 lines"),
        (
            "Sources/Long/Function.swift",
            """
            struct Long {
                func short() {}
                func long(
                    _ number: Int
                ) -> Int {
                    number
            \(String(repeating: "        // more\n", count: 76))    }
            }
            """, "Function.swift:3: sizes: the function has 81 lines"
        ),
        (
            "Sources/Long/Computed.swift",
            """
            extension Long {
                var number: Int {
                    0
            \(String(repeating: "\n", count: 78))    }
            }
            """, "Computed.swift:2: sizes: the function has 81 lines"
        ),
        ("Sources/Long/Wide.swift", "// " + String(repeating: "x", count: 138), "Wide.swift:1: sizes: the line has 141 columns"),
        (
            "Sources/Long/Import.swift", "import Verification",
            "Import.swift:1: imports: imports Verification, which the target Long does not"
        ),
        ("Sources/Long/Used.swift", "import MigrationEngine", "the target Long declares Prediction, which none of its files imports"),
        ("Sources/SwitchoverProtocol/Protocol.swift", "import Foundation", "SwitchoverProtocol imports Foundation"),
        (
            "Sources/Verification/Rules.swift", "import MigrationEngine",
            "Verification imports SwitchoverProtocol, itself or through another"
        ),
        ("Sources/MigrationEngine/Engine.swift", "import SwitchoverProtocol", "the room Long has no line"),
        ("Sources/Prediction/Prediction.swift", "//\n// For ever.", "Prediction.swift:2: language: 'For ever' is no longer written here"),
        ("Sources/Long/Sides.swift", "isEngine\nisEngine\nisEngine\nisEngine", "Sides.swift:4: sides: asks `isEngine`, as 4 lines do"),
        ("Sources/Long/Print.swift", "//\nfunc tell() { print(1) }", "Print.swift:2: outputs: writes to a standard stream by itself"),
        ("harness/fetch", "cp /home/somebody/qemu .", "harness/fetch:1: places: '/home/somebody' is a folder of one machine"),
        ("README.md", "from https://pypi.org/simple", "README.md:1: places: 'pypi.org' is the host of a package registry"),
        ("Sources/Long/Documentation.docc/Long.md", "No QEMU is at hand.", "Long.md:1: language: 'at hand'"),
    ]

    @Test func eachCheckFindsItsViolation() throws {
        let tree = FileManager.default.temporaryDirectory.path + "/ackmatrix-sources-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: tree) }
        try write(
            """
            // swift-tools-version: 6.2
            import PackageDescription
            let package = Package(
                name: "bad",
                targets: [
                    .target(name: "SwitchoverProtocol"), .target(name: "Prediction"),
                    .target(name: "MigrationEngine", dependencies: ["SwitchoverProtocol"]),
                    .target(name: "Verification", dependencies: ["MigrationEngine"]),
                    .target(name: "Long", dependencies: ["MigrationEngine", "Prediction"]),
                ])
            """, to: tree + "/Package.swift")
        for row in Self.bad { try write(row.text, to: tree + "/" + row.path) }
        let (text, status) = try check([tree])
        #expect(status == 1, "\(text)")
        for row in Self.bad { #expect(text.contains(row.violation), "expected '\(row.violation)' in:\n\(text)") }
        #expect(text.components(separatedBy: "sizes: the function").count == 3, "a function of one line counts as long:\n\(text)")
    }

    @Test func aManifestThatCannotBeReadProvesNothing() throws {
        let tree = FileManager.default.temporaryDirectory.path + "/ackmatrix-sources-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: tree) }
        try write("import Nonsense", to: tree + "/Package.swift")
        #expect(try check([tree]).status == 2)
        #expect(try check(["--nonsense"]).status == 2)
    }

    private func write(_ text: String, to path: String) throws {
        try FileManager.default.createDirectory(
            at: URL(fileURLWithPath: path).deletingLastPathComponent(), withIntermediateDirectories: true)
        try text.write(toFile: path, atomically: true, encoding: .utf8)
    }

    private func check(_ arguments: [String]) throws -> (text: String, status: Int32) {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["python3", root.path + "/harness/check-sources"] + arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let text = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        return (text, process.terminationStatus)
    }
}

private let pythonIsInstalled: Bool = {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .contains { FileManager.default.isExecutableFile(atPath: $0 + "/python3") }
}()
