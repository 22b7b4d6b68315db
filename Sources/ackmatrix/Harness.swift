/// Where the harness and the binaries are.
import ArgumentParser
import Foundation
import Matrix
import Plan
import QEMUPeer
import Running

/// Options that say which QEMU binaries there are.
struct BinaryOptions: ParsableArguments {
    @Option(
        name: .customLong("qemu"),
        help: ArgumentHelp("Add a custom QEMU build, or replace the fetched one of this name; may repeat.", valueName: "NAME=PATH"))
    var own: [String] = []

    func binaries() throws -> QEMUBinaries {
        var names: Set<String> = []
        let builds = try own.map { argument in
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            // A name becomes part of file names.
            guard let name = parts.first, name.utf8.count <= 40, name.first != ".",
                name.utf8.allSatisfy({ ($0 | 0x20) &- 0x61 < 26 || $0 &- 0x30 < 10 || "._-".utf8.contains($0) })
            else { throw ValidationError("--qemu: expected a NAME of at most 40 letters, digits, '.', '_' and '-', found '\(argument)'") }
            guard names.insert(name).inserted else { throw ValidationError("--qemu: expected each name once, found '\(name)' twice") }
            guard parts.count == 2, FileManager.default.isExecutableFile(atPath: parts[1]) else {
                throw ValidationError("--qemu: expected NAME=PATH with PATH an executable file, found '\(argument)'")
            }
            // The shim is for QEMU alone: a script would take the devices and lose them at its exec.
            guard FileHandle(forReadingAtPath: parts[1])?.readData(ofLength: 4) == Data([0x7f, 0x45, 0x4c, 0x46]) else {
                throw ValidationError("--qemu: expected the QEMU binary itself (ELF), found another kind of file: \(parts[1])")
            }
            return QEMUBinary(name: parts[0], start: .executable(URL(fileURLWithPath: parts[1]).path))
        }
        return try QEMUBinaries(own: builds)
    }
}

enum Harness {
    /// The folder of the repository: the nearest one above this executable (or the working directory) that holds the shim's source.
    static func root() throws -> String {
        let executable = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        for start in [executable, FileManager.default.currentDirectoryPath].compactMap({ $0 }) {
            var folder = URL(fileURLWithPath: start)
            while folder.path != "/" {
                if FileManager.default.fileExists(atPath: folder.path + "/harness/vfio/shim.c") { return folder.path }
                folder.deleteLastPathComponent()
            }
        }
        throw Environment(
            "no folder above this executable or the working directory holds harness/vfio: run ackmatrix inside its repository")
    }

    /// The preload shim: `$ACKMATRIX_SHIM`, or the one that `harness/run` builds.
    static func shim() throws -> String { try library("shim", variable: "ACKMATRIX_SHIM") }

    /// A preload library of the C layer: the one that an environment variable names, or the one that `harness/run` builds.
    static func library(_ name: String, variable: String) throws -> String {
        let path = try ProcessInfo.processInfo.environment[variable] ?? root() + "/.build/vfio/libackmatrix-\(name).so"
        guard FileManager.default.fileExists(atPath: path) else {
            throw Environment("\(path): the preload \(name) is not there; run: bash harness/run")
        }
        // The head of an ELF file: its class is 64 bits, its type a shared object, its machine x86-64.
        let head = FileHandle(forReadingAtPath: path).flatMap { try? $0.read(upToCount: 20) } ?? Data()
        guard head.count == 20, head.starts(with: Data("\u{7f}ELF\u{2}".utf8)), head[16] == 3, head[18] == 62 else {
            throw Environment(
                "\(path): expected the preload \(name), a shared library for x86-64, found another kind of file; run: bash harness/run, or "
                    + "name the \(name) in \(variable)")
        }
        return URL(fileURLWithPath: path).path
    }

    /// The available binaries, probed, the user's custom builds last. Answers are remembered under the cache, by the file's identity.
    static func probed(_ binaries: QEMUBinaries) async throws -> [ProbedBinary] {
        guard !binaries.all.isEmpty else {
            throw Environment("no QEMU binary is available: run `ackmatrix qemu fetch`, or add a custom build with --qemu NAME=PATH")
        }
        return try await FeatureStore(cache: QEMUBinaries.cache).probed(binaries.all, shim: shim(), folder: RunFolder()) {
            note("probing \($0.name) (\($0.path))")
        }
    }

    /// Checks, before the first cell, that each QEMU among the sides of the cells starts, and that migrations can connect. Throws
    /// `Environment`: what fails here is no finding.
    static func checkStart(of binaries: [ProbedBinary], for cells: [Cell], folder: RunFolder) async throws {
        let used = binaries.filter { binary in binary.binary.kind == .qemu && cells.contains { $0.uses(binary) } }
        guard !used.isEmpty else { return }
        try checkLoopback()
        let shim = try shim()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for binary in used {
                // A QEMU before 8.2 has no iommufd, and migrates without devices.
                let withDevice = cells.contains { $0.hasDevices(on: binary) }
                group.addTask { try await QEMUPeer.checkStart(binary, withDevice: withDevice, shim: shim, folder: folder) }
            }
            try await group.waitForAll()
        }
    }

    /// Checks, before the first cell, that the binaries of each pairing migrate to each other at all. Returns the cells that can run.
    static func checkPairings(of binaries: [ProbedBinary], for cells: [Cell], jobs: Int, folder: RunFolder) async throws -> Recipe.Made {
        guard cells.contains(where: { $0.kind == .qemu }) else {
            var all = Recipe.Made()
            all.cells = cells
            return all
        }
        let pairings = try await Pairings(of: cells, binaries: binaries, shim: shim(), jobs: jobs, folder: folder)
        let made = pairings.split(cells)
        if made.cells.isEmpty, let reason = made.skipped.reasons.first { throw Environment(reason.description) }
        return made
    }

    /// The sides that a command is to use. If both kinds are asked for and no QEMU is available, only the engine is left, and the caller
    /// reports it.
    static func sides(_ kind: Sides, _ binaries: QEMUBinaries, engines: [ProbedBinary]) async throws -> [ProbedBinary] {
        switch kind {
        case .qemu: try await probed(binaries)
        case .engine: engines
        case .all: binaries.all.isEmpty ? engines : try await probed(binaries) + engines
        }
    }
}

extension Cell {
    /// True if the binary is a side that has a device.
    func hasDevices(on binary: ProbedBinary) -> Bool {
        plan.sides.contains { $0.binary.name == binary.binary.name && !$0.devices.isEmpty }
    }

    /// True if the binary is a side of one of the cell's legs.
    func uses(_ binary: ProbedBinary) -> Bool {
        plan.sides.contains { $0.binary.name == binary.binary.name }
    }
}
