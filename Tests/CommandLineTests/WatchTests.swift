/// `check --watch` follows logs that other processes write.
import Foundation
import Glibc
import TestSupport
import Testing

@Suite struct WatchTests {
    /// A watch of two logs in a folder of its own.
    final class Watched {
        let folder: String
        let process = Process()

        init() throws {
            folder = NSTemporaryDirectory() + "watch-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            process.executableURL = URL(fileURLWithPath: command)
            process.arguments = ["check", "--watch", "--source", path("src"), "--destination", path("dst")]
            // Files, not pipes: nobody reads them while the watch runs.
            for name in ["out", "err"] { try Data().write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
            process.standardOutput = FileHandle(forWritingAtPath: folder + "/out")
            process.standardError = FileHandle(forWritingAtPath: folder + "/err")
            try process.run()
        }

        deinit {
            if process.isRunning { kill(process.processIdentifier, SIGKILL) }
            try? FileManager.default.removeItem(atPath: folder)
        }

        func path(_ side: String) -> String { "\(folder)/\(side).log" }
        func text(_ name: String) -> String { (try? String(contentsOfFile: "\(folder)/\(name)", encoding: .utf8)) ?? "" }

        /// A child process appends the lines, one write each.
        func append(_ lines: some Sequence<Substring>, to side: String) throws {
            let given = "\(folder)/given"
            try (lines.joined(separator: "\n") + "\n").write(toFile: given, atomically: false, encoding: .utf8)
            let child = Process()
            child.executableURL = URL(fileURLWithPath: "/bin/sh")
            child.arguments = ["-c", "while IFS= read -r line; do printf '%s\\n' \"$line\"; done < \"$0\" >> \"$1\"", given, path(side)]
            try child.run()
            child.waitUntilExit()
            #expect(child.terminationStatus == 0)
        }

        /// Waits for the text; a machine that is busy takes its time.
        func wait(for text: String, in name: String) -> Bool {
            let deadline = ContinuousClock.now + .seconds(60)
            while !self.text(name).contains(text), process.isRunning, ContinuousClock.now < deadline { usleep(20_000) }
            return self.text(name).contains(text)
        }

        /// The exit status; nil if the watch does not end.
        func status() -> Int32? {
            let deadline = ContinuousClock.now + .seconds(60)
            while process.isRunning, ContinuousClock.now < deadline { usleep(20_000) }
            return process.isRunning ? nil : process.terminationStatus
        }
    }

    private func lines(_ name: String) throws -> [Substring] {
        try String(contentsOfFile: TestCorpus.path("qemu/\(name).log"), encoding: .utf8).split(separator: "\n")
    }

    /// Files that do not exist at first are followed until both migrations have ended.
    @Test func logsAreFollowedToTheirEnds() throws {
        let watched = try Watched()
        let (source, destination) = (try lines("vfio-new-2.src"), try lines("vfio-new-2.dst"))
        #expect(watched.wait(for: "waiting for it", in: "err"))
        try watched.append(source.prefix(300), to: "src")
        try watched.append(destination.prefix(200), to: "dst")
        #expect(watched.wait(for: "status is active", in: "err"))
        try watched.append(source.dropFirst(300), to: "src")
        try watched.append(destination.dropFirst(200), to: "dst")
        #expect(watched.status() == 0, "\(watched.text("out")) \(watched.text("err"))")
        #expect(watched.text("out").contains("nothing broken"))
        #expect(watched.text("out").contains("1 checked, 0 with findings"))
    }

    /// A broken rule is told while the migration runs, with its line, and a signal ends the watch with what is known.
    @Test(arguments: [SIGINT, SIGTERM]) func whatBreaksIsToldAtOnce(number: Int32) throws {
        let watched = try Watched()
        var source = try lines("vfio-new-2.src")
        let ack = try #require(source.firstIndex { $0.contains("switchover_acked") })
        source.insert(source[ack], at: ack)
        try watched.append(source.prefix(ack + 40), to: "src")
        #expect(watched.wait(for: "FINDING ack-number at source:\(ack + 2)", in: "out"), "\(watched.text("out")) \(watched.text("err"))")
        #expect(watched.process.isRunning)
        kill(watched.process.processIdentifier, number)
        #expect(watched.status() == 1)
        #expect(watched.process.terminationReason == .exit)
    }

    /// A signal before the end: the migration has not ended.
    @Test func aWatchThatIsEndedEarlySaysSo() throws {
        let watched = try Watched()
        try watched.append(try lines("vfio-new-2.src").prefix(300), to: "src")
        try watched.append(try lines("vfio-new-2.dst").prefix(200), to: "dst")
        #expect(watched.wait(for: "destination's status is active", in: "err"))
        kill(watched.process.processIdentifier, SIGTERM)
        #expect(watched.status() == 3)
        #expect(watched.text("out").contains("not ended yet"))
    }

    /// A rotated log goes on in the new file; of a truncated one, lines may be missing.
    @Test(arguments: [true, false]) func rotationAndTruncationAreTold(isRotated: Bool) throws {
        let watched = try Watched()
        let (source, destination) = (try lines("vfio-new-2.src"), try lines("vfio-new-2.dst"))
        try watched.append(source.prefix(300), to: "src")
        #expect(watched.wait(for: "source's status is active", in: "err"))
        if isRotated {
            try FileManager.default.moveItem(atPath: watched.path("src"), toPath: watched.path("src") + ".1")
        } else {
            #expect(truncate(watched.path("src"), 0) == 0)
            #expect(watched.wait(for: "truncated; lines may be missing", in: "err"))
        }
        try watched.append(source.dropFirst(300), to: "src")
        if isRotated { #expect(watched.wait(for: "rotated; going on", in: "err"), "\(watched.text("err"))") }
        try watched.append(destination, to: "dst")
        #expect(watched.status() == 0, "\(watched.text("out")) \(watched.text("err"))")
        #expect(watched.text("out").contains("gap") == !isRotated)
    }
}
