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
            + "known event that cannot be read is a finding."
    )

    @Argument(help: "Logs.") var files: [String]

    func run() throws {
        var malformed = 0
        for file in files {
            var reader = try LogReader(path: file)
            let folded = try FoldedStream(&reader)
            let summary = reader.summary
            guard summary.verdict == .usable else { throw Environment("\(file): \(summary.verdict)") }
            var again = try LogReader(path: file)
            var unfolded = folded.makeIterator()
            var isLossless = true
            while isLossless, let line = try again.next() {
                guard let entry = Entry(line) else { continue }
                isLossless = unfolded.next().map { $0.record == entry.record && $0.thread == entry.thread } ?? false
            }
            isLossless = isLossless && unfolded.next() == nil
            var trace = Trace()
            trace.source = folded
            say(
                "\(file): \(summary.lines) lines, \(summary.events) events, \(summary.messages) messages, \(summary.episodes) episodes; "
                    + "\(summary.bytes) bytes, folded \(trace.bytes.count)")
            for kind in UnknownLine.allCases where summary.unknown[kind] > 0 {
                say("    \(summary.unknown[kind]) lines \(kind.rawValue)")
            }
            for example in summary.examples where example.kind == .malformedEvent {
                say("    at \(example.position): \(example.excerpt)")
            }
            malformed += summary.unknown[.malformedEvent]
            guard isLossless else { throw Finding(description: "\(file): folding and unfolding does not give the same events") }
        }
        if malformed > 0 { throw Finding(description: "\(malformed) lines of known events could not be read") }
    }
}

struct TraceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Read traces in the format of Traces/FORMAT.md.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print what each trace holds, or line, byte and reason if the trace is refused.")

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
