/// `ackmatrix device`: checks a VFIO migration driver.
import ArgumentParser
import DeviceCheck
import Foundation
import Plan
import VFIO

struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device", abstract: "Check the migration driver of a VFIO device.", subcommands: [CheckDevice.self, DiffDevices.self])

    struct CheckDevice: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Check a driver against the kernel's VFIO migration interface.",
            discussion: """
                DEVICE is a device of this machine that is bound to a VFIO driver and in nobody's use: its folder below /sys/bus, its name \
                (a UUID, or domain:bus:slot.function), or its file in /dev/vfio/devices. `mock` is the mock device. Every check has a \
                number and a name, and names the part of linux/vfio.h that it is about. The output is TAP 14.

                No guest memory is mapped, so a device that needs some to be saved fails. Checks that can cost the device what it holds, \
                resets and refused loads, are made with --destructive only.

                --sheet keeps the results: FOLDER/validation.json, which `ackmatrix device diff` compares with that of another driver, \
                firmware or kernel, and FOLDER/validation.html, the same for people.

                Exit status: 0 if no check has failed, 1 if one has, 2 if the device cannot be opened or cannot be brought back to RUNNING.
                """)

        @Argument(help: ArgumentHelp("The device to check, or mock.", valueName: "device"))
        var device: String

        @Option(help: ArgumentHelp("Load what DEVICE saves into this one. By default DEVICE loads it again.", valueName: "device"))
        var target: String?

        @Option(help: ArgumentHelp("How the devices are opened. By default cdev where the kernel has it.", valueName: "cdev|group"))
        var access: KernelAccess?

        @Option(help: ArgumentHelp("The script that `mock` follows.", valueName: "file"))
        var script: String?

        @Option(help: "The number that chunk sizes follow from.")
        var seed: UInt64 = 1

        @Option(help: ArgumentHelp("Write validation.json and validation.html there.", valueName: "folder"))
        var sheet: String?

        @Option(help: ArgumentHelp("The firmware's version, for the sheet: the kernel has no common place for it.", valueName: "text"))
        var firmware: String?

        @Flag(help: "Make the checks that can cost the device what it holds, too.")
        var destructive = false

        @Flag(help: "List the checks, and open no device.")
        var dryRun = false

        func validate() throws {
            if firmware != nil && sheet == nil { throw ValidationError("--firmware is for the sheet: it needs --sheet") }
            if script != nil && device != "mock" { throw ValidationError("--script is for the device mock, found: \(device)") }
        }

        func run() throws {
            if dryRun {
                for (number, check) in allChecks.enumerated() { say(TAPReport.listed(check, number: number + 1)) }
                return
            }
            let folder = try sheet.map(SheetFolder.init)
            let first = try opened(device)
            let second = try target.map(opened)
            let abilities = try CheckRun.abilities(of: first).joined(separator: ", ")
            var facts = [
                ResultSheet.Fact("device", first.name), ResultSheet.Fact("abilities", abilities), ResultSheet.Fact("seed", "\(seed)"),
            ]
            if let second { facts.insert(ResultSheet.Fact("target", second.name), at: 1) }
            for line in TAPReport.head(facts.map { "\($0.name): \($0.value)" }) { say(line) }
            facts += try furtherFacts()
            var lines: [ResultSheet.Line] = []
            do {
                try CheckRun(isDestructive: destructive, seed: seed).run(on: first, target: second) { result in
                    lines.append(ResultSheet.Line(result))
                    for line in TAPReport.lines(result, number: lines.count) { say(line) }
                }
            } catch {
                say("Bail out! \(error)")
                try folder?.write(ResultSheet(facts: facts, checks: lines, brokenOff: "\(error)"))
                throw Environment("\(device): \(error)")
            }
            let result = ResultSheet(facts: facts, checks: lines)
            if let folder {
                try folder.write(result)
                note("\(result.summary); \(folder.page)")
            }
            let failed = lines.filter { $0.outcome == .failed }.map(\.name)
            if !failed.isEmpty {
                throw Finding(description: "\(failed.count) of \(lines.count) checks failed: \(failed.joined(separator: ", "))")
            }
        }

        /// What else a sheet is filed under.
        private func furtherFacts() throws -> [ResultSheet.Fact] {
            var facts = [ResultSheet.Fact("destructive checks", destructive ? "made" : "not made")]
            if let firmware { facts.append(ResultSheet.Fact("firmware", firmware)) }
            if device == "mock" { return facts }
            if let access { facts.append(ResultSheet.Fact("access", access.rawValue)) }
            return facts + (try KernelDevicePath(device).facts.map { ResultSheet.Fact($0.name, $0.value) })
        }

        private func opened(_ given: String) throws -> any DeviceRequests {
            if given == "mock" {
                let text = try script.map(scriptText) ?? "ackmatrix-device 1\n"
                return MockMigrationDevice(name: "mock", script: try DeviceScript(text, file: script ?? "the default script")) { _ in }
            }
            let path = try KernelDevicePath(given)
            let device = try KernelMigrationDevice(name: path.folder, path: path, access: access)
            return device
        }
    }
}

extension KernelAccess: ExpressibleByArgument {}
