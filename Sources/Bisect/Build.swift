/// A build as a side: probed, and with what is wrong with it where it is a stand-in.
import EnginePeer
import Foundation
import Matrix
import Plan
import QEMUPeer
import Running
import SwitchoverProtocol

package struct Build: Sendable {
    package let binary: ProbedBinary
    /// What takes the place of the engine's generation; nil for a QEMU, and for an engine with nothing wrong.
    let mutant: Generation?
    /// The mutant shows in so many runs of a hundred.
    let chance: Int
    /// The name of the available QEMU that the build is, as it is; nil: it is a file of its own, or has arguments of its own.
    var standsFor: String?

    /// The command that runs a cell of the build again; empty where no option of `ackmatrix run` stands for the build.
    func command(_ cell: Cell, _ reproduction: Reproduction) -> String {
        guard case .qemu(let binary) = self.binary.binary, binary.arguments.isEmpty else { return "" }
        if let standsFor {
            func name(_ side: SideConfiguration) -> String { side.binary == self.binary.binary ? standsFor : side.binary.name }
            let rest = cell.name.drop { $0 != "+" }
            return reproduction.command("\(name(cell.plan.source))-\(name(cell.plan.leg.destination))\(rest)")
        }
        guard case .executable(let path) = binary.start else { return "" }
        var reproduction = reproduction
        reproduction.qemuOptions += ["--qemu", "\(binary.name)=\(path)"]
        return reproduction.command(cell.name)
    }

    /// What it is by probing, in words.
    package var about: String {
        let features = binary.features
        let what = binary.binary.kind == .engine ? "engine" : "QEMU \(features.version)"
        return "\(what), generation \(binary.generation)"
    }
}

/// Why a revision cannot be told; it is neither good nor bad.
package struct Untestable: Error, Hashable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Makes sides of the files that builds leave.
package struct BuildReader: Sendable {
    /// The fetched binaries and those that the user added, for descriptions that name one.
    let binaries: QEMUBinaries
    /// The preload shim; throws `Environment` where there is none.
    let shim: @Sendable () throws -> String
    let cache: String

    package init(binaries: QEMUBinaries, cache: String, shim: @escaping @Sendable () throws -> String) {
        (self.binaries, self.cache, self.shim) = (binaries, cache, shim)
    }

    /// The build that a file is. Throws `Untestable` where the file is none, or where the QEMU does not start.
    package func build(_ path: String, folder: RunFolder) async throws -> Build {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw Untestable("\(path): expected the binary that the build makes, found no file")
        }
        defer { try? file.close() }
        let beginning = (try? file.read(upToCount: BuildFile.largest + 1)) ?? Data()
        if beginning.starts(with: [0x7f, 0x45, 0x4c, 0x46]) {
            guard FileManager.default.isExecutableFile(atPath: path) else { throw Untestable("\(path): expected an executable file") }
            return try await qemu(QEMUBinary(name: CellPattern.build, start: .executable(URL(fileURLWithPath: path).path)), folder)
        }
        guard BuildFile.isDescription(beginning) else {
            throw Untestable(
                "\(path): expected the QEMU binary itself (ELF) or a stand-in ('\(BuildFile.head)'), found another kind of file; a script "
                    + "would take the mock devices and lose them at its exec")
        }
        let description: BuildFile
        do { description = try BuildFile(String(decoding: beginning, as: UTF8.self)) } catch { throw Untestable("\(path): \(error)") }
        switch description.side {
        case .qemu(let name, let arguments): return try await qemu(named: name, arguments, path: path, folder)
        case .engine(let generation, let mutants, let chance): return try engine(generation, mutants, chance, path: path)
        }
    }

    /// The build that a list names: the name of an available QEMU, or the path of a file.
    package func build(listed entry: String, folder: RunFolder) async throws -> Build {
        if binaries[entry] != nil { return try await qemu(named: entry, [], path: entry, folder) }
        guard FileManager.default.fileExists(atPath: entry) else {
            let names = binaries.all.map(\.name).joined(separator: ", ")
            throw Environment("--list: expected the name of a QEMU (\(names)) or the path of a file, found '\(entry)'")
        }
        return try await build(entry, folder: folder)
    }

    private func qemu(named name: String, _ arguments: [String], path: String, _ folder: RunFolder) async throws -> Build {
        guard let known = binaries[name] else {
            throw Untestable(
                "\(path): expected 'qemu' with one of \(binaries.all.map(\.name).joined(separator: ", ")), found '\(name)'")
        }
        var build = try await qemu(
            QEMUBinary(name: CellPattern.build, start: known.start, arguments: known.arguments + arguments), folder)
        build.standsFor = name
        return build
    }

    private func qemu(_ binary: QEMUBinary, _ folder: RunFolder) async throws -> Build {
        let shim = try shim()
        do {
            let probed = try await FeatureStore(cache: cache).probed([binary], shim: shim, folder: folder)
            return Build(binary: probed[0], mutant: nil, chance: 100)
        } catch let error as Environment where !Task.isCancelled {
            // The shim and the other side were tried before: it is the build that does not start.
            throw Untestable(error.description)
        }
    }

    private func engine(_ name: String, _ mutants: [String], _ chance: Int, path: String) throws -> Build {
        guard let generation = Generation(named: name), let variant = ProbedBinary.variant(of: name, label: CellPattern.build) else {
            throw Untestable("\(path): expected 'engine' with one of \(ProbedBinary.engineNames.joined(separator: ", ")), found '\(name)'")
        }
        var wrong: Mutant?
        for mutant in mutants {
            guard let known = Mutant.all(of: generation).first(where: { $0.name == mutant }) else {
                throw Untestable("\(path): expected the name of a mutant (ackmatrix mutants), found '\(mutant)'")
            }
            wrong = wrong?.with(known, of: generation) ?? known
        }
        var mutated = wrong?.generation
        if case .engine(let side) = variant.binary { mutated?.name = side }
        return Build(binary: variant, mutant: mutated, chance: chance)
    }
}

/// Builds revisions of a repository in its worktree, and keeps what they leave by revision.
package struct RevisionBuilder: Sendable {
    let repository: BisectQuestion.Repository
    let tree: Repository
    /// Where the binaries of this repository and build command are kept, beyond the bisection.
    let kept: String

    package init(_ repository: BisectQuestion.Repository, tree: Repository, cache: String) {
        self.repository = repository
        self.tree = tree
        kept = "\(cache)/bisect/" + hashName([repository.path, repository.build, repository.binary].joined(separator: "\0").utf8)
    }

    /// The binary of the revision that is checked out. Throws `Untestable` where it does not build. `folder` gets the build's output.
    package func binary(of commit: String, folder: String) async throws -> String {
        let place = "\(kept)/\(commit)"
        let name = URL(fileURLWithPath: repository.binary).lastPathComponent
        if FileManager.default.fileExists(atPath: "\(place)/\(name)") { return "\(place)/\(name)" }
        let made = repository.binary.hasPrefix("/") ? repository.binary : tree.path + "/" + repository.binary
        // What an earlier revision left must not be taken for this one's.
        try? FileManager.default.removeItem(atPath: made)
        let log = folder + "/build.log"
        let status = try await runShell(repository.build, folder: tree.path, log: log)
        try Task.checkCancellation()
        // What the build changed of the revision's own files would keep git from checking the next one out.
        try await tree.ask(["reset", "--hard", "--quiet"])
        guard status == 0 else { throw Untestable("the build exited with status \(status): \(Self.lastLine(of: log))") }
        guard FileManager.default.fileExists(atPath: made) else {
            throw Untestable("the build has left no \(repository.binary): \(Self.lastLine(of: log))")
        }
        let draft = "\(kept)/.\(commit)"
        do {
            try? FileManager.default.removeItem(atPath: draft)
            try FileManager.default.createDirectory(atPath: draft, withIntermediateDirectories: true)
            // A link may point to a file that the next build replaces.
            try FileManager.default.copyItem(atPath: URL(fileURLWithPath: made).resolvingSymlinksInPath().path, toPath: "\(draft)/\(name)")
            try? FileManager.default.removeItem(atPath: place)
            try FileManager.default.moveItem(atPath: draft, toPath: place)
        } catch {
            throw Environment("\(place): the binary of a revision cannot be kept: \(systemReason(error))")
        }
        return "\(place)/\(name)"
    }

    /// The last line of a build's output that is not empty.
    private static func lastLine(of log: String) -> String {
        guard let file = FileHandle(forReadingAtPath: log) else { return "it printed nothing" }
        defer { try? file.close() }
        let end = (try? file.seekToEnd()) ?? 0
        try? file.seek(toOffset: end > 4096 ? end - 4096 : 0)
        let tail = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
        return tail.split(separator: "\n").last.map { "its output ends with '\($0.prefix(200))'" } ?? "it printed nothing"
    }
}
