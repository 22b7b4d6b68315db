/// `ackmatrix log` and `ackmatrix trace`: what the readers make of a file.
import ArgumentParser
import Foundation
import MigrationTrace
import Plan
import Verification

struct LogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log", abstract: "Read QEMU trace logs, shim logs or libvirt per-domain logs, and count what they hold.",
        discussion:
            "Each line is read as a typed event or counted as unknown. Folding and unfolding must give the same events, and a line of a "
            + "known event that cannot be read is a finding. The files are read as streams: memory stays below 50 MB whatever their size."
    )

    @Argument(help: "Logs.") var files: [String]

    func run() throws {
        var malformed = 0
        for file in files {
            guard try isReadTwice(file) else {
                throw Environment("\(file): expected a file, which is read twice, found a pipe or the like; save it to a file first")
            }
            let check = try FoldingCheck(path: file)
            let summary = check.summary
            guard summary.verdict == .usable else { throw Environment("\(file): \(summary.verdict)") }
            say(
                "\(file): \(summary.lines) lines, \(summary.events) events, \(summary.messages) messages, \(summary.episodes) episodes; "
                    + "\(summary.bytes) bytes, folded \(check.foldedBytes)")
            for kind in UnknownLine.allCases where summary.unknown[kind] > 0 {
                say("    \(summary.unknown[kind]) lines \(kind.rawValue)")
            }
            for example in summary.examples where example.kind == .malformedEvent {
                say("    at \(example.position): \(example.excerpt)")
            }
            malformed += summary.unknown[.malformedEvent]
            guard check.isLossless else { throw Finding(description: "\(file): folding and unfolding does not give the same events") }
        }
        if malformed > 0 { throw Finding(description: "\(malformed) lines of known events could not be read") }
    }
}

/// False for a pipe or a socket: what was read is gone.
func isReadTwice(_ path: String) throws -> Bool {
    var status = stat()
    guard stat(path, &status) == 0 else { throw Environment("\(path): cannot be read: \(String(cString: strerror(errno)))") }
    return ![S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT)
}

struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Read traces in the format of Traces/FORMAT.md.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what each trace holds, or line, byte and reason if the trace is refused.",
            discussion: "Memory grows with the lines of the largest trace, to some 20 times its size, not with the entries that its folds "
                + "stand for.")

        @Argument(help: "Traces.") var files: [String]

        func run() throws {
            var refused = 0
            for file in files {
                do {
                    let trace = try Trace(path: file)
                    let handshake = Handshake(trace)
                    let entries = StreamName.allCases.reduce(0) { $0 + trace[$1].count }
                    say(
                        "\(file): \(trace.header.cell), \(trace.header.source.version) -> \(trace.header.destination.version), "
                            + "\(trace.header.outcome); "
                            + "\(entries) entries, \(trace.edges.count) edges; requests \(handshake.requestCount), approvals "
                            + "\(handshake.approvals.values.reduce(0, +)), ACKs \(handshake.acksCounted)")
                } catch let error as TraceError {
                    say("\(file): \(error)")
                    refused += 1
                }
            }
            if refused > 0 { throw Environment("\(refused) of \(files.count) traces refused") }
        }
    }
}
