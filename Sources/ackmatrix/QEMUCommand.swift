/// `ackmatrix qemu`: fetches QEMU binaries and lists what they can do.
import ArgumentParser
import Foundation
import Plan
import Subprocess
import SystemPackage

struct QEMUCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "qemu", abstract: "Fetch QEMU binaries of several versions, and list what each can do.",
        subcommands: [Fetch.self, List.self])

    struct Fetch: EndsInOrder {
        static let configuration = CommandConfiguration(
            abstract: "Fetch the QEMU of each configured suite into versioned folders of the user's cache, without root.",
            discussion: "Arguments are passed on to harness/qemu/fetch; its options: ackmatrix qemu fetch -- --help. Memory stays below "
                + "50 MB beside that of apt.")

        @Argument(parsing: .captureForPassthrough) var arguments: [String] = []

        func run() async throws {
            let script = try Harness.root() + "/harness/qemu/fetch"
            // The script holds the reading end; when this process ends, however it ends, the script's watcher sees it.
            let lifeline = try FileDescriptor.pipe()
            defer { try? lifeline.writeEnd.close() }
            var options = PlatformOptions()
            options.processGroupID = 0
            options.teardownSequence = [.send(signal: .kill, toProcessGroup: true, allowedDurationToNextStep: .seconds(1))]
            let result = try await Subprocess.run(
                .name("bash"), arguments: Arguments([script] + arguments.filter { $0 != "--" }),
                environment: .inherit.updating(["ACKMATRIX_LIFELINE_FD": "0"]), platformOptions: options,
                input: .fileDescriptor(lifeline.readEnd, closeAfterSpawningProcess: true),
                output: .fileDescriptor(.standardOutput, closeAfterSpawningProcess: false),
                error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false))
            guard result.terminationStatus.isSuccess else { throw Environment("harness/qemu/fetch: \(result.terminationStatus)") }
            // The script has written to standard output by itself; nothing more is written, but that it was closed is not lost.
            StandardOutput.write("")
        }
    }

    struct List: EndsInOrder {
        static let configuration = CommandConfiguration(
            abstract: "List the binaries: name, exact version, path, and probed features.",
            discussion: "A binary is probed once, by starting it. Memory stays below 50 MB beside that of the QEMUs that are probed.")

        @OptionGroup var binaries: BinaryOptions

        @Flag(
            help:
                "Print the binaries as one JSON document: name, version, package, path, suite, features, generation, mode by machine type.")
        var json = false

        func run() async throws {
            let all = try binaries.binaries()
            // A custom build may have the name of a fetched one, which it replaces.
            let suites = Dictionary(all.fetched.filter { all[$0.binary.name] == $0.binary }.map { ($0.binary.name, $0.suite) }) {
                first, _ in
                first
            }
            let probed = try await Harness.probed(all)
            if json { return try sayJSON(BinaryList(probed, suites: suites)) }
            var judged: [String: [String]] = [:]
            for side in probed {
                guard case .qemu(let binary) = side.binary else { continue }
                let features = side.features
                let package = features.package.isEmpty ? "" : " (\(features.package))"
                say("\(binary.name)  \(features.version)\(package)  \(suites[binary.name] ?? "custom build")")
                say("    path        \(binary.path)")
                let known = features.summary.isEmpty ? "no switchover-ack capability" : features.summary.joined(separator: ", ")
                say("    features    \(known)")
                say("    generation  \(features.generation)")
                for line in modes(features) { say("    mode        \(line)") }
                judged[features.generation, default: []].append(binary.name)
            }
            say("generations")
            for generation in ProbedFeatures.knownGenerations {
                say(
                    "    \(generation.padding(toLength: 6, withPad: " ", startingAt: 0))  "
                        + (judged[generation].map { "judged by " + $0.joined(separator: ", ") }
                            ?? "no binary is available: add a custom build (--qemu NAME=PATH)"))
            }
        }

        private func modes(_ features: ProbedFeatures) -> [String] {
            guard features.hasSwitchoverAck else { return ["none on every machine type"] }
            guard features.hasLegacyProperty else { return ["legacy on every machine type"] }
            return Dictionary(grouping: features.modes, by: \.value).sorted { $0.key.rawValue < $1.key.rawValue }.map { mode, machines in
                let names = machines.map(\.key).sorted { $0.compare($1, options: .numeric) == .orderedAscending }
                return "\(mode.rawValue) on \(names.joined(separator: ", ")) (measured)"
            }
        }
    }
}

/// The document of `qemu list --json`.
private struct BinaryList: Encodable {
    var format = 1
    let binaries: [Binary]
    let knownGenerations = ProbedFeatures.knownGenerations

    struct Binary: Encodable {
        let name: String
        let version: String
        let package: String
        let path: String
        /// nil for a custom build.
        let suite: String?
        let features: [String]
        let generation: String
        /// By machine type; empty where the binary has one mode for all or none.
        let modes: [String: String]
    }

    init(_ probed: [ProbedBinary], suites: [String: String]) {
        binaries = probed.compactMap { side in
            guard case .qemu(let binary) = side.binary else { return nil }
            let features = side.features
            return Binary(
                name: binary.name, version: features.version, package: features.package, path: binary.path, suite: suites[binary.name],
                features: features.summary, generation: features.generation, modes: features.modes.mapValues(\.rawValue))
        }
    }
}
