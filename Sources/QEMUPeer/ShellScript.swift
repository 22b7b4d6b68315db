/// Runs a standalone script as its reader would: in another folder, with a minimal environment.
import Foundation
import Subprocess
import SystemPackage

/// How a script ended.
package struct ScriptResult: Hashable, Sendable {
    /// The exit status, or 128 plus the signal's number if a signal has ended the script.
    package let status: Int32
    /// The output, up to a limit: standard output, then standard error.
    package let output: String
}

/// Runs `sh PATH` in `folder` with exactly this environment. If the task is cancelled, the script is sent SIGTERM, and reaps the processes
/// that it has started.
package func runShellScript(_ path: String, folder: String, environment: [String: String]) async throws -> ScriptResult {
    var options = PlatformOptions()
    options.processGroupID = 0
    options.teardownSequence = [.send(signal: .terminate, allowedDurationToNextStep: .seconds(5))]
    let result = try await run(
        .path("/bin/sh"), arguments: [path],
        environment: .custom(Dictionary(uniqueKeysWithValues: environment.map { (.init(stringLiteral: $0.key), $0.value) })),
        workingDirectory: FilePath(folder), platformOptions: options, input: .none,
        output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
    let status: Int32 =
        switch result.terminationStatus {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    return ScriptResult(status: status, output: result.standardOutput + result.standardError)
}
