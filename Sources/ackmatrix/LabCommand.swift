/// `ackmatrix lab`: what a host is fit for.
import ArgumentParser
import DeviceCheck
import HostCheck
import Plan
import VFIO

struct LabCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab", abstract: "Tell what a host with VFIO devices is fit for.", subcommands: [Check.self])

    struct Check: EndsInOrder {
        static let configuration = CommandConfiguration(
            abstract: "Check what migrations of VFIO devices stand on: kernel, IOMMU, modules, devices, QEMU.",
            discussion: """
                Each line is PASS, WARN (some migrations cannot be made) or FAIL (none can), what was found, and what to do. Nothing is \
                changed, and no device is opened but those of --device, which must be in nobody's use: opening one may reset it.

                Exit status: 0 if no line is FAIL, 1 if one is, 2 for wrong usage.
                """)

        @Option(
            help: ArgumentHelp(
                "Open this device and tell what its driver can do; may repeat. As for `ackmatrix device check`.", valueName: "device"))
        var device: [String] = []

        @Flag(help: "Start no QEMU. Otherwise each binary that is not known yet is started once, to see what it can do.")
        var withoutQEMU = false

        @OptionGroup var binaries: BinaryOptions

        @Flag(help: "Print the lines as one JSON document.")
        var json = false

        func run() async throws {
            let qemus = withoutQEMU ? [] : try await known()
            var lines = HostChecks.lines(HostFacts(root: ""), opened: device.map(opened), qemus: qemus)
            if withoutQEMU { lines.removeAll { $0.subject == "QEMU" } }
            if json {
                try sayJSON(Document(lines: lines.map(Document.Line.init)))
            } else {
                for line in lines { say(line.text) }
            }
            let failed = lines.filter { $0.verdict == .fail }.map(\.subject)
            if !failed.isEmpty { throw Finding(description: "this host cannot migrate VFIO devices: \(failed.joined(separator: ", "))") }
        }

        private func known() async throws -> [HostQEMU] {
            let all = try binaries.binaries()
            guard !all.all.isEmpty else { return [] }
            return try await Harness.probed(all).map { side in
                HostQEMU(
                    name: side.binary.name, version: side.features.version, hasSwitchoverAck: side.features.hasSwitchoverAck,
                    hasPerDeviceACKs: side.features.hasLegacyProperty)
            }
        }

        private func opened(_ given: String) -> OpenedDevice {
            do {
                let path = try KernelDevicePath(given)
                let device = try KernelMigrationDevice(name: path.folder, path: path, access: nil)
                return OpenedDevice(name: given, abilities: try CheckRun.abilities(of: device))
            } catch {
                return OpenedDevice(name: given, abilities: nil, refusal: "\(error)")
            }
        }

        private struct Document: Encodable {
            struct Line: Encodable {
                let verdict: String
                let subject: String
                let found: String
                let advice: String?

                init(_ line: HostLine) {
                    (verdict, subject, found, advice) = (line.verdict.rawValue, line.subject, line.found, line.advice)
                }
            }

            var format = 1
            let lines: [Line]
        }
    }
}
