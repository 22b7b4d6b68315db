/// The header of a run that begins: whatever of the command line and of this machine may decide a result.
import Foundation
import Matrix
import Plan
import QEMUPeer
import Running
import Subprocess

extension RunCommand {
    /// The header of a run of these cells, which were selected out of `all`.
    func header(of cells: [Cell], _ binaries: [ProbedBinary], skipped: SkippedCells, of all: Int) async throws -> RunHeader {
        let used = binaries.filter { binary in cells.contains { $0.uses(binary) } }
        let root = try Harness.root()
        let executable = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let matrixPath = absolute(matrix.matrix ?? root + "/harness/matrix/default.yaml")
        let deviationPath = absolute(deviations.deviationList ?? root + "/harness/matrix/deviations.yaml")
        let shim = cells.contains { $0.kind == .qemu } ? try Harness.shim() : nil
        let paths = used.compactMap(\.binary.path)
        let digests = try await FileDigests(cache: QEMUBinaries.cache).sha256(
            [executable, matrixPath, deviationPath] + (shim.map { [$0] } ?? []) + paths)
        func file(_ path: String) -> RunHeader.File { RunHeader.File(path: path, digest: digests[path]) }
        return RunHeader(
            tool: RunHeader.Tool(
                version: Ackmatrix.configuration.version, commit: try await Harness.commit(), digest: digests[executable]),
            binaries: used.map { binary in
                RunHeader.Binary(name: binary.binary.name, version: binary.features.version, file: binary.binary.path.map(file))
            },
            shim: shim.map(file), matrix: file(matrixPath), deviations: file(deviationPath), options: decidingOptions,
            otherOptions: otherOptions, rounds: `repeat`, cells: CellTally(cells.lazy.map(\.name)), shard: scale.shard,
            isWhole: matrix.isWholeTier && tamper == nil && cells.count == all, skipped: skipped)
    }

    /// The options that decide results, beside the files.
    private var decidingOptions: [RunHeader.Option] {
        var options: [RunHeader.Option] = []
        func add(_ name: String, _ value: String?) {
            if let value { options.append(.init(name, value)) }
        }
        add("--sides", sides.sides?.rawValue)
        for name in sides.engine { add("--engine", name) }
        add("--tier", matrix.tier?.rawValue)
        for text in matrix.cell { add("--cell", text) }
        add("--where", matrix.condition)
        add("--deviations", deviations.deviations == .expected ? nil : deviations.deviations.rawValue)
        add("--repeat", `repeat` == 1 ? nil : "\(`repeat`)")
        add("--seed", seed == 0 ? nil : "\(seed)")
        add("--mode", mode?.rawValue)
        if ownModes { options.append(.init("--own-modes")) }
        add("--vfio", vfio == "mock" ? nil : vfio)
        if bisectExit { options.append(.init("--bisect-exit")) }
        add("--tamper", tamper?.rawValue)
        return options
    }

    /// Those that name files, or that decide no result.
    private var otherOptions: [RunHeader.Option] {
        var options = binaries.own.map { build in
            let parts = build.split(separator: "=", maxSplits: 1).map(String.init)
            return RunHeader.Option("--qemu", "\(parts[0])=\(absolute(parts[parts.count - 1]))")
        }
        if let file = matrix.matrix { options.append(.init("--matrix", absolute(file))) }
        if let file = deviations.deviationList { options.append(.init("--deviation-list", absolute(file))) }
        if let requiresQEMU { options.append(.init(requiresQEMU ? "--require-qemu" : "--no-require-qemu")) }
        if keepAll { options.append(.init("--keep-all")) }
        if let folder = scale.rerunFailed { options.append(.init("--rerun-failed", absolute(folder))) }
        return options
    }

    private func absolute(_ path: String) -> String { URL(fileURLWithPath: path).path }
}

extension SideImplementation {
    /// The executable; nil for the engine.
    fileprivate var path: String? {
        switch self {
        case .qemu(let binary): binary.path
        case .engine: nil
        }
    }
}

extension Harness {
    /// The SHA-256 of a file; nil where it cannot be read.
    static func digest(_ path: String) async throws -> String? {
        try await FileDigests(cache: QEMUBinaries.cache).sha256([path])[path]
    }

    /// The commit of the checkout that holds the harness, with `-dirty` where its files differ from it; nil where it is no checkout, or
    /// where git does not tell.
    static func commit() async throws -> String? {
        let root = try root()
        guard FileManager.default.fileExists(atPath: root + "/.git") else { return nil }
        do {
            let result = try await Subprocess.run(
                .name("git"),
                arguments: ["-C", root, "--no-optional-locks", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
                input: .none,
                output: .string(limit: 1 << 10), error: .discarded)
            let text = result.standardOutput.trimmingCharacters(in: .whitespacesAndNewlines)
            return text.wholeMatch(of: /[0-9a-f]{40}(-dirty)?/) != nil ? text : nil
        } catch is SubprocessError {
            try Task.checkCancellation()
            return nil
        }
    }
}
