/// The command line.
import ArgumentParser
import Foundation

@main
struct Ackmatrix: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ackmatrix",
        abstract: "Test the switchover-ACK handshake of VFIO live migration, with real QEMU binaries and mock devices.",
        discussion: """
            Exit status: 0 if everything is as predicted, 1 for a finding, 2 for wrong usage or a broken environment.
            """,
        subcommands: [
            RunCommand.self, CompareCommand.self, SchedulesCommand.self, InjectCommand.self, ListCommand.self, CheckCommand.self,
            ExplainCommand.self, ReportCommand.self, FindingsCommand.self, ExperimentCommand.self, QEMUCommand.self, ScriptCommand.self,
            LogCommand.self, TraceCommand.self, TraceEventsCommand.self,
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
            } catch let open as NotEnded {
                print("not ended yet: \(open)")
                return NotEnded.exitStatus
            } catch  where Task.isCancelled {
                // The cancellation is the cause of any error that it led to.
                FileHandle.standardError.write(Data("interrupted; every QEMU process has ended\n".utf8))
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
        // The run is over and every child is reaped: now the signal takes its usual effect.
        interrupted.reraise()
        guard !resultsAreLost.load(ordering: .relaxed) else {
            FileHandle.standardError.write(Data("standard output cannot be written, so the results are lost\n".utf8))
            Foundation.exit(2)
        }
        Foundation.exit(status)
    }
}

/// What a run found; reported with exit status 1.
struct Finding: Error, CustomStringConvertible {
    let description: String
}
