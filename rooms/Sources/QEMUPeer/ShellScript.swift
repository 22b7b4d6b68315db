/// A shell script of ours, run as somebody else would: in a folder that is not ours, with an environment that has nothing in it.
import Foundation
import Subprocess
import SystemPackage

/// What came of a script.
package struct ScriptResult: Hashable, Sendable {
    /// Its exit status; 128 and the signal's number where it was killed.
    package let status: Int32
    /// What it wrote, up to a limit; standard error after standard output.
    package let output: String
}

/// Runs `sh PATH` in `folder` with this environment alone. When the task is cancelled the script is asked to end, and reaps what it started.
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
