/// `ackmatrix bisect`: the commit, or the binary of a list, from which on a cell fails.
import ArgumentParser
import Bisect
import EnginePeer
import Foundation
import Glibc
import Matrix
import MigrationTrace
import Plan
import QEMUPeer
import Running

extension TestedSide: ExpressibleByArgument {}
extension BisectQuestion.Aim: ExpressibleByArgument {}

/// What the judgement of a revision depends on beside the question.
struct BisectOptions: ParsableArguments {
    @OptionGroup var binaries: BinaryOptions

    @Option(help: ArgumentHelp("The matrix file. (default: harness/matrix/default.yaml)", valueName: "FILE"))
    var matrix: String?

    @OptionGroup var deviations: DeviationOptions

    /// The options as words of a command line, with absolute paths.
    func words() throws -> [String] {
        let reproduction = try Reproduction(binaries, matrix: matrix, deviations)
        return reproduction.options + reproduction.qemuOptions
    }

    /// Judges revisions of the question. Probes the side that stands opposite to the builds, and starts it once.
    func trial(_ question: BisectQuestion, place: String) async throws -> Trial {
        let file = try MatrixFile(path: matrix ?? Harness.root() + "/harness/matrix/default.yaml")
        let pattern: CellPattern
        do { pattern = try CellPattern(question.cell, side: question.side) } catch { throw ValidationError("--cell: \(error)") }
        let available = try binaries.binaries()
        var others = ProbedBinary.engines + ProbedBinary.enginesWhenNamed
        if let name = pattern.other(among: available.all.map(\.name)), let binary = available[name] {
            let shim = try Harness.shim()
            let folder = try RunFolder()
            let probed = try await FeatureStore(cache: QEMUBinaries.cache).probed([binary], shim: shim, folder: folder) {
                note("probing \($0.name) (\($0.path))")
            }
            // What fails here is the environment's; what fails later is the build's.
            try await checkStart(probed[0], withDevice: probed[0].features.hasSwitchoverAck, shim: shim, folder: folder)
            others = probed + others
        }
        var reproduction = try Reproduction(binaries, matrix: matrix, deviations)
        reproduction.results = place + "/reproduced"
        return Trial(
            question, pattern: pattern, matrix: file, deviations: try deviations.file(file), policy: deviations.deviations, others: others,
            reader: BuildReader(binaries: available, cache: QEMUBinaries.cache) { try Harness.shim() }, reproduction: reproduction)
    }
}

struct BisectCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "bisect", abstract: "Find the commit of a QEMU tree, or the binary of a list, from which on a cell fails.",
        discussion: """
            A repository is searched by `git bisect run` in a worktree of its own: your checkout, and a bisection of yours there, stay as \
            they are. For each revision the command of --build runs in the worktree; it must leave the file of --binary there and end \
            with 0. The binary is kept by revision in the cache, and is not built again. A build must have x86_64-softmmu with TCG, VFIO \
            (CONFIG_VFIO_PCI, CONFIG_IOMMUFD) and the log trace backend, and no loadable modules:
              configure --target-list=x86_64-softmmu --enable-trace-backends=log --disable-modules

            The build is the source, the destination or both sides of the cell (--side); the other side is the one that the cell's name \
            has. Each revision is judged against the prediction for its own probed generation: to differ from the good end is not bad. A \
            revision is bad only if it shows the failure of the bad end: the same ending, and the same rules broken, on the same side, in \
            the same phase, for the same kind of device; further rules may break. It is skipped (125) if it does not build or start, or \
            cannot run the cell, or fails otherwise before the failure could show. A machine type that a revision lacks is mapped to the \
            newest one that both sides have, and the name of a test says its mode, since the cell before and after the commit that \
            brings per-device ACKs is not the same test; --mode skips the revisions in the other mode.

            A cell runs until one verdict leads by the votes of --quorum. A failure that shows now and then needs --rare.

            The state is in the folder of --state, and the same command goes on after a kill. report.txt there is the report for a mail: \
            the commit, both handshakes side by side, the first difference that matters, and the explanation. With --list an ordered list \
            is searched instead: names of available QEMUs, binaries, or stand-ins (text files; see the documentation).

            Examples:
              ackmatrix bisect --repo ~/qemu --good v11.0.0 --bad master --side source --cell 11.1-11.1+q35-11.1+2-devices \\
                --build 'mkdir -p build && cd build && ../configure --target-list=x86_64-softmmu && ninja' \\
                --binary build/qemu-system-x86_64
              ackmatrix bisect --list 7.2 --list 10.0 --list 11.1 --for mode --side both --cell 11.1-11.1+q35-11.1+2-devices
              git bisect run sh -c 'make -j8 || exit 125; ackmatrix run --bisect-exit --qemu mine=build/qemu-system-x86_64 --cell mine-...'

            Exit status: 0 the first bad one is found, 1 it is one of several that cannot be told apart, 2 wrong usage, a broken \
            environment, or ends that do not differ.
            """)

    @Option(help: ArgumentHelp("The git repository.", valueName: "FOLDER")) var repo: String?

    @Option(help: ArgumentHelp("A revision that does not show the failure.", valueName: "REVISION")) var good: String?

    @Option(help: ArgumentHelp("A revision that shows the failure.", valueName: "REVISION")) var bad: String?

    @Option(help: ArgumentHelp("The command that builds a revision, run by sh in its worktree.", valueName: "COMMAND")) var build: String?

    @Option(help: ArgumentHelp("The file that the build leaves, as seen from the worktree.", valueName: "PATH")) var binary: String?

    @Option(
        help: ArgumentHelp(
            "Search this list instead of a repository, oldest first; repeat it for each entry. The first is good, the last bad.",
            valueName: "QEMU|PATH"))
    var list: [String] = []

    @Option(help: ArgumentHelp("The sides of the cell that the build is.", valueName: "source|destination|both")) var side: TestedSide

    @Option(help: ArgumentHelp("The whole name of the cell, as `ackmatrix list` prints it.", valueName: "NAME")) var cell: String

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "What makes a revision bad: the failure of the bad end, or its mode of the cell (legacy or per-device).",
            valueName: "failure|mode"))
    var aim = BisectQuestion.Aim.failure

    @Option(help: "Skip the revisions that run the cell in another mode than this: legacy or per-device.")
    var mode: SwitchoverAckMode?

    @Option(help: ArgumentHelp("The number of votes by which a verdict must lead.", valueName: "VOTES")) var quorum = 5

    @Option(
        help: ArgumentHelp(
            "The failure shows now and then: one run that shows it is bad, and so many without it are good.", valueName: "RUNS"))
    var rare: Int?

    @Option(help: "The seed of everything that is random in the engine.") var seed: UInt64 = 0

    @Option(help: ArgumentHelp("The folder of the state. (default: one for each question in .build/bisect)", valueName: "FOLDER"))
    var state: String?

    @Flag(help: "Forget what is known, and begin anew; binaries that were built are kept.") var restart = false

    @OptionGroup var options: BisectOptions

    func validate() throws {
        let ofRepository: [(String, String?)] = [
            ("--repo", repo), ("--good", good), ("--bad", bad), ("--build", build), ("--binary", binary),
        ]
        if list.isEmpty {
            if let missing = ofRepository.first(where: { $0.1 == nil }) {
                throw ValidationError("\(missing.0): expected it with a repository, found none; a list is searched with --list")
            }
        } else if let surplus = ofRepository.first(where: { $0.1 != nil }) {
            throw ValidationError("\(surplus.0) with --list: expected a repository or a list; leave one of the two out")
        }
        guard list.isEmpty || 2...1024 ~= list.count else {
            throw ValidationError("--list: expected 2 to 1024 entries, found \(list.count)")
        }
        guard 1...100 ~= quorum else { throw ValidationError("--quorum: expected 1 to 100, found \(quorum)") }
        if let rare, !(1...1000 ~= rare) { throw ValidationError("--rare: expected 1 to 1000, found \(rare)") }
        if aim == .mode, mode != nil || rare != nil {
            throw ValidationError("--for mode: expected neither --mode nor --rare beside it")
        }
        do { _ = try CellPattern(cell, side: side) } catch { throw ValidationError("--cell: \(error)") }
    }

    func run() async throws {
        let question = try await question()
        let folder = BisectFolder(
            try URL(fileURLWithPath: state ?? Harness.root() + "/.build/bisect/" + question.digest).path)
        do { try FileManager.default.createDirectory(atPath: folder.path, withIntermediateDirectories: true) } catch {
            throw Environment("\(folder.path): cannot be made: \(systemReason(error)); name another folder with --state")
        }
        let lock = try await lock(folder)
        defer { withExtendedLifetime(lock) {} }
        let state = try knownState(question, folder)
        note("state: \(folder.path)")
        let trial = try await options.trial(question, place: folder.path)
        var search = Search(state, folder: folder, trial: trial, cache: QEMUBinaries.cache) { note($0) }
        let report: BisectReport
        if question.repository == nil {
            report = try await search.searchList()
        } else {
            let program = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
            report = try await search.searchRepository(command: [program, BisectStepCommand.name, folder.path] + options.words())
        }
        let text = report.text()
        do { try Data(text.utf8).write(to: URL(fileURLWithPath: folder.report), options: .atomic) } catch {
            throw Environment("\(folder.report): cannot be written: \(systemReason(error))")
        }
        sayLines(text)
        say("report: \(folder.report)")
        say(report.headline)
        if !report.isFound { throw Finding(description: report.headline) }
    }

    /// Locks the folder. A step of a bisection that was killed may hold it until it has ended, too.
    private func lock(_ folder: BisectFolder) async throws -> FolderLock {
        let deadline = ContinuousClock.now + .seconds(3)
        while true {
            if let lock = FolderLock(folder.path) { return lock }
            guard ContinuousClock.now < deadline else {
                throw Environment("\(folder.path): another bisection works in this folder; name another one with --state")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func question() async throws -> BisectQuestion {
        var repository: BisectQuestion.Repository?
        if let repo, let good, let bad, let build, let binary {
            let git = Repository(repo)
            let path = try await git.ask(["rev-parse", "--path-format=absolute", "--git-common-dir"])
            let ends = (try await git.commit(good, label: "--good"), try await git.commit(bad, label: "--bad"))
            guard ends.0 != ends.1 else { throw Environment("--good and --bad: expected two revisions, found \(ends.0) twice") }
            repository = BisectQuestion.Repository(path: path, good: ends.0, bad: ends.1, build: build, binary: binary)
        }
        var question = BisectQuestion(
            repository: repository, list: list.map { FileManager.default.fileExists(atPath: $0) ? URL(fileURLWithPath: $0).path : $0 },
            side: side, cell: cell, lead: rare ?? quorum)
        question.aim = aim
        question.mode = mode
        question.isRare = rare != nil
        question.seed = seed
        question.options = try options.words()
        return question
    }

    /// What is known of this question, or an empty state. Throws `Environment` where the folder has another question's.
    private func knownState(_ question: BisectQuestion, _ folder: BisectFolder) throws -> BisectState {
        if restart { try? FileManager.default.removeItem(atPath: folder.state) }
        guard let known = try BisectState(path: folder.state) else {
            let state = BisectState(question)
            try state.write(path: folder.state)
            return state
        }
        guard known.question == question else {
            throw Environment(
                "\(folder.path): expected the state of this bisection, found that of another (\(known.question.cell)); name another folder "
                    + "with --state, or begin anew with --restart")
        }
        if !known.records.isEmpty { note("going on: \(counted(known.records.count, "revision")) known") }
        return known
    }
}

/// What `git bisect run` starts for each revision: exit status 0 good, 1 bad, 125 skip, and 255 to end the bisection.
struct BisectStepCommand: EndsInOrder {
    static let name = "bisect-step"

    static let configuration = CommandConfiguration(
        commandName: name, abstract: "Judge the revision that is checked out in the worktree of a bisection.", shouldDisplay: false)

    @Argument(help: ArgumentHelp("The folder of the bisection's state.", valueName: "FOLDER")) var folder: String

    @OptionGroup var options: BisectOptions

    func run() async throws {
        let folder = BisectFolder(URL(fileURLWithPath: folder).path)
        endWithOwner(of: folder.path)
        guard let state = try BisectState(path: folder.state) else { throw Environment("\(folder.state): the state is gone") }
        let trial = try await options.trial(state.question, place: folder.path)
        var search = Search(state, folder: folder, trial: trial, cache: QEMUBinaries.cache) { note($0) }
        let record = try await search.step()
        switch record.verdict {
        case .good: return
        case .bad: throw Finding(description: record.reason)
        case .skip: throw Inconclusive(description: record.reason)
        }
    }

    /// Ends this process, as a signal does, when the one that began the bisection is gone: that holds a lock on the folder.
    private func endWithOwner(of folder: String) {
        Thread.detachNewThread {
            let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            guard descriptor >= 0 else { return }
            while flock(descriptor, LOCK_EX) != 0 { guard errno == EINTR else { return } }
            // The lock is kept until this process has ended, so that no other begins while it still writes.
            kill(getpid(), SIGTERM)
        }
    }
}
