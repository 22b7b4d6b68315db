/// The command line.
import ArgumentParser
import Foundation

@main
struct Ackmatrix: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ackmatrix",
        abstract: "Tests the switchover-ACK handshake of VFIO live migration, with real QEMU binaries and mock devices.",
        discussion: """
            Exit status: 0 everything as predicted, 1 a finding, 2 wrong usage or a broken environment.
            """,
        subcommands: [
            RunCommand.self, CompareCommand.self, SchedulesCommand.self, InjectCommand.self, ListCommand.self, CheckCommand.self,
            ExplainCommand.self, ReportCommand.self, FindingsCommand.self, ExperimentCommand.self, QEMUCommand.self, ScriptCommand.self,
            LogCommand.self, TraceCommand.self,
        ])

    /// Everything that goes wrong outside a migration is usage or environment: 2, and never 1, which is a finding.
    static func main() async {
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
                print("finding: \(finding)")
                return Int32(1)
            } catch  where Task.isCancelled {
                // Whatever error came of it, this is what happened.
                FileHandle.standardError.write(Data("interrupted; every QEMU has ended\n".utf8))
                return Int32(2)
            } catch {
                let status = exitCode(for: error)
                if status == .success {
                    print(fullMessage(for: error))
                    return Int32(0)
                }
                FileHandle.standardError.write(Data((fullMessage(for: error) + "\n").utf8))
                return Int32(2)
            }
        }
        let interrupted = Signals(cancel: work)
        let status = await work.value
        // The run is over and everything is reaped: now the signal may do what it does.
        interrupted.reraise()
        guard !resultsAreLost.load(ordering: .relaxed) else {
            FileHandle.standardError.write(Data("standard output cannot be written: its results are lost\n".utf8))
            Foundation.exit(2)
        }
        Foundation.exit(status)
    }
}

/// What a run found; reported with exit status 1.
struct Finding: Error, CustomStringConvertible {
    let description: String
}
