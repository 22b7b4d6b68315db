/// `ackmatrix experiment`: measures, on real QEMU binaries, what the re-ACK is for.
import ArgumentParser
import Experiment
import Foundation
import Plan
import QEMUPeer
import Subprocess
import SystemPackage

struct ExperimentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "experiment", abstract: "Measure what per-device ACKs change, beside the numbers published with them.",
        subcommands: [Downtime.self])

    struct Downtime: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Downtime of a large guest with one busy device that re-initialises, with and without the re-ACK.",
            discussion: """
                Three series of migrations, those with and without the re-ACK in turn: one REINIT, medians beside the published numbers; none \
                to eight REINITs; and a stream of them that never ends, with more and more quiet between two, to find where migration stops \
                converging. It takes some four minutes on an idle machine with two processors, and should have it to itself.

                FOLDER/downtime.json has every measured number, and FOLDER/downtime.svg, convergence.svg and their .png the charts. These are \
                drawn by matplotlib, which harness/experiment/charts fetches into the user's cache.
                """)

        @OptionGroup var binaries: BinaryOptions

        @Option(help: ArgumentHelp("The binary that is both sides. (default: the last one that knows both modes)", valueName: "NAME"))
        var name: String?

        @Option(help: "Migrations of the comparison, each way.")
        var runs = 5

        @Option(help: "What device data and rates are divided by; 1 moves a whole GiB, and wants fast processors.")
        var scale = 8

        @Option(help: ArgumentHelp("Where the results go. (default: .build/results/experiment)", valueName: "FOLDER"))
        var results: String?

        @Flag(inversion: .prefixedNo, help: "Draw the charts.")
        var charts = true

        func validate() throws {
            guard 1...100 ~= runs else { throw ValidationError("--runs: expected 1 to 100, found \(runs)") }
            guard 1...64 ~= scale else { throw ValidationError("--scale: expected 1 to 64, found \(scale)") }
        }

        func run() async throws {
            let (binary, machine) = try await sides()
            var experiment = DowntimeExperiment(binary: binary, machine: machine, shim: try Harness.shim())
            experiment.setting = DowntimeSetting(scale: scale)
            experiment.runs = runs
            let place = URL(fileURLWithPath: try results ?? Harness.root() + "/.build/results/experiment").path
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            let measured: DowntimeResults
            do {
                measured = try await experiment.run(folder: RunFolder()) { text, number, total in
                    Harness.note("\(number) of \(total): \(text)")
                }
            } catch let end as UnexpectedEnd {
                throw Finding(description: end.description)
            } catch let account as DowntimeAccount.Incomplete {
                throw Finding(description: account.description)
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            let file = place + "/downtime.json"
            try encoder.encode(measured).write(to: URL(fileURLWithPath: file))
            for line in measured.report { say(line) }
            say("results: \(file)")
            if charts { try await draw(file, place) }
        }

        /// The newest type of q35 that the binary runs in per-device mode: legacy is then the property alone.
        private func sides() async throws -> (ProbedBinary, String) {
            let probed = try await Harness.probed(binaries.binaries()).filter { name == nil || $0.binary.name == name }
            guard let binary = probed.last(where: { $0.features.hasLegacyProperty }) else {
                throw Environment(
                    name.map { "no binary named \($0) with both modes is at hand; see: ackmatrix qemu list" }
                        ?? "no binary at hand knows both modes: QEMU 11.1 or later is needed; see: ackmatrix qemu list")
            }
            let machines = binary.features.machineTypes.filter {
                $0.hasPrefix("pc-q35-") && binary.features.mode(machine: $0) == .perDevice
            }
            guard let machine = machines.max(by: { $0.compare($1, options: .numeric) == .orderedAscending }) else {
                throw Environment("\(binary.binary.name) has no q35 machine type in per-device mode")
            }
            return (binary, machine)
        }

        private func draw(_ file: String, _ place: String) async throws {
            let script = try Harness.root() + "/harness/experiment/charts"
            let result = try await Subprocess.run(
                .name("bash"), arguments: [script, file, place], input: .none,
                output: .fileDescriptor(.standardOutput, closeAfterSpawningProcess: false),
                error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false))
            guard result.terminationStatus.isSuccess else {
                throw Environment("the numbers are there, the charts are not: harness/experiment/charts: \(result.terminationStatus)")
            }
        }
    }
}
