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
        commandName: "experiment", abstract: "Measure what per-device ACKs change, beside the published numbers.",
        subcommands: [Downtime.self])

    struct Downtime: EndsInOrder {
        static let configuration = CommandConfiguration(
            abstract: "Measure the downtime of a large guest with one busy device that re-initialises, with and without per-device ACKs.",
            discussion: """
                Three series of migrations run, in per-device and in legacy mode in turn: with one REINIT (medians beside the published \
                numbers); with none to eight REINITs; and with an endless stream of REINITs at growing intervals, to find the interval at \
                which migration converges. They take about four minutes on an idle machine with two processors; nothing else should run \
                meanwhile.

                FOLDER/downtime.json has every measured number; FOLDER/downtime.svg, convergence.svg and their .png are the charts, which \
                are drawn by matplotlib. harness/experiment/charts fetches it into the user's cache.

                Memory stays below 200 MB beside that of two QEMUs, each of which has a guest of 8 GiB.
                """)

        @OptionGroup var binaries: BinaryOptions

        @Option(help: ArgumentHelp("The binary that is both sides. (default: the last one that has both modes)", valueName: "NAME"))
        var name: String?

        @Option(help: "The number of migrations of the comparison, in each mode.")
        var runs = 5

        @Option(help: "The divisor of device data and rates; with 1 a whole GiB is moved, which needs fast processors.")
        var scale = 8

        @Option(help: ArgumentHelp("The folder for the results. (default: .build/results/experiment)", valueName: "FOLDER"))
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
            do { try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true) } catch {
                throw Environment("\(place): the folder cannot be made: \(systemReason(error)); name another one with --results")
            }
            let measured: DowntimeResults
            do {
                measured = try await experiment.run(folder: RunFolder()) { text, number, total in
                    note("\(number) of \(total): \(text)")
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
                    name.map { "no binary named \($0) with both modes is available; see: ackmatrix qemu list" }
                        ?? "no available binary has both modes: QEMU 11.1 or later is needed; see: ackmatrix qemu list")
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
