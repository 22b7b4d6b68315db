/// A git repository, asked and driven through git itself: worktrees, `git bisect`, and what they say.
import Foundation
import Plan
import Subprocess
import SystemPackage

package struct Repository: Sendable {
    /// The folder that git runs in: the user's checkout, or a worktree.
    package let path: String

    package init(_ path: String) { self.path = path }

    package struct Answer: Sendable {
        package let status: Int32
        package let output: String
        package let error: String
    }

    /// Variables by which git would find another repository than the one in the folder.
    private static let strayVariables = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"]
    static var environment: Subprocess.Environment {
        .inherit.updating(
            Dictionary(uniqueKeysWithValues: strayVariables.map { (Subprocess.Environment.Key(stringLiteral: $0), String?.none) }))
    }

    /// What each call of git begins with. The hooks of the user's checkout are none of a bisection's.
    var arguments: [String] { ["-C", path, "-c", "advice.detachedHead=false", "-c", "core.hooksPath=/dev/null"] }

    package func git(_ arguments: [String]) async throws -> Answer {
        let result = try await run(
            .name("git"), arguments: Arguments(self.arguments + arguments),
            environment: Self.environment, input: .none, output: .string(limit: 4 << 20), error: .string(limit: 64 << 10))
        let status: Int32 =
            switch result.terminationStatus {
            case .exited(let code): code
            case .signaled(let signal): 128 + signal
            }
        return Answer(status: status, output: result.standardOutput, error: result.standardError)
    }

    /// What git prints, without the last line end. Throws `Environment` in git's words.
    @discardableResult
    package func ask(_ arguments: [String]) async throws -> String {
        let answer = try await git(arguments)
        guard answer.status == 0 else {
            let words = answer.error.isEmpty ? "it exited with status \(answer.status)" : answer.error.trimmingCharacters(in: .newlines)
            throw Plan.Environment("\(path): git \(arguments.prefix(2).joined(separator: " ")): \(words)")
        }
        return answer.output.trimmingCharacters(in: .newlines)
    }

    /// The whole name of the commit that a revision stands for. `label`: what gave the revision, for messages.
    package func commit(_ revision: String, label: String) async throws -> String {
        let answer = try await git(["rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}"])
        guard answer.status == 0 else {
            throw Plan.Environment("\(label): expected a revision of \(path), found '\(revision)'")
        }
        return answer.output.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// A commit's name, its author, its date and its subject, each on a line.
    package func about(_ commit: String) async throws -> [String] {
        try await ask(["show", "--no-patch", "--format=%H%n%an <%ae>%n%ad%n%s", "--date=iso-strict", commit]).split(
            separator: "\n", omittingEmptySubsequences: false
        ).map(String.init)
    }

    package func subject(_ commit: String) async throws -> String { try await ask(["show", "--no-patch", "--format=%s", commit]) }
}

// MARK: Worktrees

extension Repository {
    /// A detached worktree at `folder`, which is made or, where it is one already, kept with what builds have left in it.
    package func worktree(at folder: String, commit: String) async throws -> Repository {
        let tree = Repository(folder)
        if FileManager.default.fileExists(atPath: folder + "/.git"), try await tree.git(["rev-parse", "--git-dir"]).status == 0 {
            // A git that was killed leaves its lock, which nobody else holds: this process alone works in the folder.
            let index = try await tree.ask(["rev-parse", "--git-path", "index.lock"])
            try? FileManager.default.removeItem(atPath: index.hasPrefix("/") ? index : folder + "/" + index)
            _ = try await tree.git(["bisect", "reset", commit])
            try await tree.check(out: commit)
            return tree
        }
        try? FileManager.default.removeItem(atPath: folder)
        try await ask(["worktree", "prune"])
        try await ask(["worktree", "add", "--detach", "--force", folder, commit])
        return tree
    }

    /// Checks a commit out. What a build has changed of the revision's files is undone; what it has left beside them stays.
    package func check(out commit: String) async throws { try await ask(["checkout", "--detach", "--force", "--quiet", commit]) }

    package func remove(worktree folder: String) async throws {
        _ = try await Repository(folder).git(["bisect", "reset"])
        try await ask(["worktree", "remove", "--force", folder])
    }
}

// MARK: git bisect

package struct BisectOutcome: Hashable, Sendable {
    /// The first bad commit, or those of which one is it.
    package var candidates: [String]
    package var isFound: Bool { candidates.count == 1 }
}

extension Repository {
    /// How many revisions may be the first bad one, and about how many steps are left.
    package func bisectProgress() async throws -> (revisions: Int, steps: Int)? {
        let goods = try await ask(["for-each-ref", "--format=%(refname)", "refs/bisect/"]).split(separator: "\n").map(String.init)
            .filter { $0.hasPrefix("refs/bisect/good-") }
        let answer = try await git(["rev-list", "--bisect-vars", "refs/bisect/bad", "--not"] + goods)
        guard answer.status == 0 else { return nil }
        func number(_ name: String) -> Int? {
            answer.output.split(separator: "\n").first { $0.hasPrefix(name + "=") }.flatMap { Int($0.dropFirst(name.count + 1)) }
        }
        guard let all = number("bisect_all"), let steps = number("bisect_steps") else { return nil }
        return (all, steps)
    }

    /// The commits that `git bisect log` names at its end; nil while the search is not over.
    package static func outcome(ofLog log: String) -> BisectOutcome? {
        func name(_ line: Substring) -> String? {
            guard let from = line.firstIndex(of: "["), let to = line.firstIndex(of: "]"), from < to else { return nil }
            let name = line[line.index(after: from)..<to]
            return name.count >= 40 && name.allSatisfy(\.isHexDigit) ? String(name) : nil
        }
        let lines = log.split(separator: "\n")
        if let found = lines.last(where: { $0.hasPrefix("# first bad commit: ") }).flatMap(name) {
            return BisectOutcome(candidates: [found])
        }
        guard let start = lines.lastIndex(where: { $0.hasPrefix("# only skipped commits left to test") }) else { return nil }
        let possible = lines[start...].filter { $0.hasPrefix("# possible first bad commit: ") }.compactMap(name)
        return possible.isEmpty ? nil : BisectOutcome(candidates: possible)
    }
}

/// Runs a shell command in a folder, both outputs into a file. The shell and what it starts are one process group, which is ended where
/// the task is cancelled. Returns the exit status, or 128 plus the signal's number.
package func runShell(_ command: String, folder: String, log: String) async throws -> Int32 {
    let file = try FileDescriptor.open(
        FilePath(log), .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: [.ownerReadWrite, .groupRead, .otherRead])
    defer { try? file.close() }
    var options = PlatformOptions()
    options.processGroupID = 0
    options.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1))]
    let result = try await run(
        .path("/bin/sh"), arguments: ["-c", command], environment: Repository.environment, workingDirectory: FilePath(folder),
        platformOptions: options, input: .none, output: .fileDescriptor(file, closeAfterSpawningProcess: false),
        error: .fileDescriptor(file, closeAfterSpawningProcess: false))
    return switch result.terminationStatus {
    case .exited(let code): code
    case .signaled(let signal): 128 + signal
    }
}
