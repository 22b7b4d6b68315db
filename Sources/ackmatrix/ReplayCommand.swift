/// `ackmatrix replay`: a recording as the device of a migration.
import ArgumentParser
import EnginePeer
import Foundation
import MigrationTrace
import Plan
import QEMUPeer
import Recording
import Running
import VFIO
import Verification

struct ReplayCommand: EndsInOrder {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Migrate with a recording as the device, and name the first call that departs from it.",
        discussion: """
            Each device that the recording has calls of is a device of the migration, those that save on the source, those that load on \
            the destination. A source without a counterpart migrates to a mock.

            --strict: the device insists on the recording, call by call. Each migration call is compared with the recorded one and \
            answered as it was answered then; the first that differs is a finding, with the call that was expected, the one that was \
            made, and the number of the entry in the trace. Every later call fails with EPROTO. The engine makes the same calls in \
            every run, so a recording of it (`ackmatrix record --device`) is replayed without a departure. How often a real QEMU \
            queries a device depends on its clock: --free-polls lets calls that move nothing (queries of sizes, reads that find \
            nothing) come more or less often, but not miss a REINIT.

            --tolerant: by progress. The recording is distilled (`ackmatrix distill`), and the mock follows the script.

            Recordings have the hashes of the data: what is read has the recorded length and other contents.

            Memory takes some 20 times the size of the recording, and beside that what the QEMUs take.

            Exit status: 0 if the migration ended, in a strict replay without a departure; 1 for a departure, or a migration that did not \
            end; 2 for a file that is no recording.
            """)

    @Argument(help: ArgumentHelp("A trace that `ackmatrix record` has written.", valueName: "TRACE"))
    var trace: String

    @Flag(help: "Insist on every recorded call.") var strict = false
    @Flag(help: "Follow the distilled script.") var tolerant = false
    @Flag(help: "With --strict: calls that move nothing may come more or less often.") var freePolls = false

    @Option(
        help: ArgumentHelp(
            "The sides: an engine such as engine@11.1, or QEMUs of the cache; one name stands for both.", valueName: "SOURCE[,DESTINATION]")
    )
    var sides = "engine@11.1"

    @Option(name: .shortAndLong, help: ArgumentHelp("Write the trace of the migration here.", valueName: "TRACE"))
    var output: String?

    @OptionGroup var binaries: BinaryOptions

    func validate() throws {
        guard strict != tolerant else { throw ValidationError("expected --strict or --tolerant, found \(strict ? "both" : "neither")") }
        if freePolls, !strict { throw ValidationError("--free-polls is for --strict: a mock does not count polls") }
    }

    func run() async throws {
        let recorded = try recordedDevices(trace, named: nil)
        let (source, destination) = try await chosenSides(sides, binaries)
        let sources = recorded.filter { !$0.loads }
        let destinations = recorded.filter(\.loads)
        let count = max(sources.count, destinations.count)
        let plain = try DeviceScript("ackmatrix-device 1\n", file: "the default script")
        func devices(_ recorded: [RecordedDevice], _ letter: String) throws -> [PlannedDevice] {
            try (0..<count).map { index in
                let backend = index < recorded.count ? try backend(recorded[index]) : .mock(plain)
                return PlannedDevice(name: "\(letter)\(index)", backend, slot: 0x10 + index)
            }
        }
        guard count <= 8 else { throw Environment("\(trace): expected at most 8 devices of a side, found \(count)") }
        let migration = DeviceMigration(
            source: source, destination: destination, sourceDevices: try devices(sources, "v"),
            destinationDevices: try devices(destinations, "w"))
        let engine = ObservedDevices()
        let outcome = try await migration.run(engine)
        if let output { try outcome.trace.write(path: output) }
        let names = sources.enumerated().map { ("v\($0)", $1) } + destinations.enumerated().map { ("w\($0)", $1) }
        try conclude(outcome, Dictionary(names) { first, _ in first }, callsLeft: engine.callsLeft)
    }

    private func backend(_ device: RecordedDevice) throws -> PlannedDevice.Backend {
        do {
            guard tolerant else { return .replay(try ReplayText(device, countsPolls: !freePolls)) }
            let script = try Distillation(device)
            for remark in script.remarks { note("\(device.name): not in the script: \(remark)") }
            return .mock(try DeviceScript(script.text, file: device.name))
        } catch { throw Environment("\(trace): \(error)") }
    }

    /// Says how the migration ended and whether the calls were the recorded ones.
    private func conclude(_ outcome: DeviceMigration.Outcome, _ recorded: [String: RecordedDevice], callsLeft: [String: Int]) throws {
        let counts = Handshake(outcome.trace).counts.map { "\($0.name) \($0.value)" }.joined(separator: ", ")
        say("\(outcome.trace.header.cell): \(outcome.record.outcome.description); \(counts)")
        var departures: [String] = []
        for stream in [StreamName.sourceDevices, .destinationDevices] {
            for entry in outcome.trace[stream] {
                guard case .deviceDeparted(let name, let position, let expected, let found) = entry.event else { continue }
                let place =
                    position == 0 ? "behind the end of the recording" : "entry \(position) of \(recorded[name]?.stream.rawValue ?? "?")"
                departures.append("\(recorded[name]?.name ?? name): at \(place): expected \(expected), found \(found)")
            }
        }
        for (name, left) in callsLeft.sorted(by: { $0.key < $1.key }) where left > 0 {
            departures.append("\(recorded[name]?.name ?? name): the last \(left) calls of the recording were not made")
        }
        if let first = departures.first {
            for departure in departures.dropFirst() { say("also: \(departure)") }
            throw Finding(description: first)
        }
        if strict {
            for (name, device) in recorded.sorted(by: { $0.key < $1.key }) {
                say("\(device.name) (\(name)): no departure in \(device.calls.count) calls")
            }
        }
        guard case .ended = outcome.record.outcome else {
            throw Finding(description: "the migration did not end: \(outcome.record.outcome.description)")
        }
    }
}

extension DeviceMigration {
    /// Runs it on whatever its sides are. `devices` observes those of an engine.
    func run(_ devices: ObservedDevices) async throws -> Outcome {
        guard source.binary.kind == .qemu else { return try inEngine(devices) }
        let folder = try RunFolder()
        do {
            return try await onQEMU(shim: Harness.shim(), folder: folder.path + "/migration")
        } catch let error as SideRefusal where !Task.isCancelled {
            throw Environment("\(error)")
        } catch let error as SideError where !Task.isCancelled {
            throw Finding(description: error.description)
        }
    }
}

/// The source and the destination of a text `SOURCE[,DESTINATION]`.
func chosenSides(_ text: String, _ options: BinaryOptions) async throws -> (ProbedBinary, ProbedBinary) {
    let names = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
    guard let first = names.first, (1...2).contains(names.count) else {
        throw ValidationError("--sides: expected SOURCE or SOURCE,DESTINATION, found '\(text)'")
    }
    let engines = names.filter { $0.hasPrefix(SideImplementation.enginePrefix) }
    guard engines.isEmpty || engines.count == names.count else {
        throw ValidationError("--sides: expected two engines or two QEMUs, found '\(text)': a migration never mixes them")
    }
    let all = engines.isEmpty ? try await Harness.probed(options.binaries()) : ProbedBinary.engines + ProbedBinary.enginesWhenNamed
    func side(_ name: String) throws -> ProbedBinary {
        guard let found = all.first(where: { $0.binary.name == name }) else {
            throw ValidationError("--sides: expected one of \(all.map(\.binary.name).joined(separator: ", ")), found '\(name)'")
        }
        return found
    }
    return (try side(first), try side(names.last ?? first))
}
