/// The command line.
import ArgumentParser
import Foundation
import Glibc
import Plan
import Running

@main
struct Ackmatrix: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ackmatrix",
        abstract: "Test the switchover-ACK handshake of VFIO live migration, with real QEMU binaries and mock devices.",
        discussion: """
            Exit status: 0 if everything is as predicted, 1 for a finding, 2 for wrong usage, a broken environment, or results that \
            cannot be written; check has 3 for a migration that has not ended yet. SIGINT and SIGTERM end every command within a second.
            """,
        version: "ackmatrix 1.0.0; writes traces of format 2, reads formats 1 and 2",
        groupedSubcommands: [
            CommandGroup(
                name: "Matrix",
                subcommands: [
                    RunCommand.self, ListCommand.self, CompareCommand.self, BisectCommand.self, BisectStepCommand.self,
                    FindingsCommand.self,
                ]),
            CommandGroup(
                name: "Result",
                subcommands: [
                    ResultsCommand.self, ExplainCommand.self, ReportCommand.self, MergeCommand.self, HistoryCommand.self,
                    RegressionsCommand.self,
                ]),
            CommandGroup(
                name: "Log and trace",
                subcommands: [
                    CheckCommand.self, ShowCommand.self, DiffCommand.self, LogCommand.self, TraceCommand.self, TraceEventsCommand.self,
                ]),
            CommandGroup(
                name: "Device and lab",
                subcommands: [
                    DeviceCommand.self, LabCommand.self, AttachCommand.self, RecordCommand.self, DistillCommand.self, ReplayCommand.self,
                    ScriptCommand.self,
                ]),
            CommandGroup(
                name: "Engine and QEMU",
                subcommands: [
                    SchedulesCommand.self, InjectCommand.self, MutantsCommand.self, ExperimentCommand.self, QEMUCommand.self,
                ]),
        ])

    /// Everything that goes wrong outside a migration is usage or environment: 2, and never 1, which is a finding.
    static func main() async {
        StandardOutput.prepare()
        // Without a thread to run on, a task waits forever.
        guard taskRoom(upTo: 4) == 4 else {
            note("threads that can be started: expected at least 4, found fewer; raise the limit with ulimit -u, or that of the container")
            Glibc.exit(statusOfTrouble)
        }
        let status = await outcome()
        if StandardOutput.isLost {
            note("standard output cannot be written, so the results are lost")
            Glibc.exit(statusOfTrouble)
        }
        Glibc.exit(status == 2 ? statusOfTrouble : status)
    }

    /// Runs the command of the command line; the exit status.
    private static func outcome() async -> Int32 {
        // A command is no value that a task can be handed, so the task parses its own.
        let endsInOrder: Bool
        do {
            endsInOrder = try parseAsRoot() is any EndsInOrder
            try refuseEmptyWords(CommandLine.arguments)
        } catch {
            return tell(negativeNumber(CommandLine.arguments) ?? error)
        }
        let work = Task {
            do {
                var command = try parseAsRoot()
                if var asynchronous = command as? any AsyncParsableCommand {
                    try await asynchronous.run()
                } else {
                    try command.run()
                }
                return Int32(0)
            } catch let finding as Finding {
                say("finding: \(finding)")
                return Int32(1)
            } catch let open as NotEnded {
                say("not ended yet: \(open)")
                return NotEnded.exitStatus
            } catch let inconclusive as Inconclusive {
                note("cannot tell: \(inconclusive)")
                return Inconclusive.status
            } catch  where Task.isCancelled {
                // The cancellation is the cause of any error that it led to.
                note("interrupted")
                return Int32(2)
            } catch {
                return tell(error)
            }
        }
        let signals = endsInOrder ? Signals(cancel: work) : nil
        let status = await work.value
        // The work is over and every child is reaped: now the signal takes its usual effect.
        signals?.reraise()
        return status
    }

    /// An empty text is no name, no number and no path: a shell makes one of a variable that is not set.
    private static func refuseEmptyWords(_ arguments: [String]) throws {
        for (before, word) in zip(arguments, arguments.dropFirst()) where word.isEmpty {
            throw ValidationError("\(before.hasPrefix("--") ? before : "an argument"): expected a value, found an empty text")
        }
    }

    /// A number below zero looks like an option to the parser, which then misses the value of the option before it.
    private static func negativeNumber(_ arguments: [String]) -> (any Error)? {
        zip(arguments, arguments.dropFirst()).first { $0.hasPrefix("--") && !$0.contains("=") && $1.hasPrefix("-") && Double($1) != nil }
            .map { ValidationError("\($0): expected a number from 0, or a text that does not begin with '-', found \($1)") }
    }

    /// Prints what an error says, help and version among them; the exit status.
    private static func tell(_ error: any Error) -> Int32 {
        let error = inWords(error)
        guard exitCode(for: error) == .success else {
            note(withoutLongWords(fullMessage(for: error)))
            return 2
        }
        sayLines(fullMessage(for: error))
        return 0
    }

    /// An error of Foundation, whose own text is its code: the file that it is about, and the reason of the system.
    private static func inWords(_ error: any Error) -> any Error {
        guard let error = error as? CocoaError else { return error }
        return Environment("\(error.filePath ?? error.url?.path ?? "a file"): \(systemReason(error))")
    }

    /// The exit status of wrong usage and of a broken environment. `git bisect run` takes 2 for "bad".
    private static var statusOfTrouble: Int32 {
        if CommandLine.arguments.dropFirst().first == BisectStepCommand.name { return 255 }
        return bisects ? Inconclusive.status : 2
    }

    /// True if the command line asks for the exit statuses of git bisect run, also where it is wrong otherwise.
    static var bisects: Bool { CommandLine.arguments.dropFirst().prefix { $0 != "--" }.contains("--bisect-exit") }
}

/// Why a run with --bisect-exit tells nothing of a build.
struct Inconclusive: Error, CustomStringConvertible {
    /// The exit status that `git bisect run` takes as "skip this commit".
    static let status: Int32 = 125

    let description: String
}

/// What a run found; reported with exit status 1.
struct Finding: Error, CustomStringConvertible {
    let description: String
}
