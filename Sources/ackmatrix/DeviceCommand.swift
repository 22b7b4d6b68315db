/// `ackmatrix device`: checks a VFIO migration driver.
import ArgumentParser
import DeviceCheck
import Plan
import VFIO

struct DeviceCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device", abstract: "Check the migration driver of a VFIO device.", subcommands: [CheckDevice.self])

    struct CheckDevice: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check", abstract: "Check a driver against the kernel's VFIO migration interface.",
            discussion: """
                DEVICE is a device of this machine that is bound to a VFIO driver and in nobody's use: its folder below /sys/bus, its name \
                (a UUID, or domain:bus:slot.function), or its file in /dev/vfio/devices. `mock` is the mock device. Every check has a \
                number and a name, and names the part of linux/vfio.h that it is about. The output is TAP 14.

                No guest memory is mapped, so a device that needs some to be saved fails. Checks that can cost the device what it holds, \
                resets and refused loads, are made with --destructive only.

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

        @Flag(help: "Make the checks that can cost the device what it holds, too.")
        var destructive = false

        @Flag(help: "List the checks, and open no device.")
        var dryRun = false

        func validate() throws {
            if script != nil && device != "mock" { throw ValidationError("--script is for the device mock, found: \(device)") }
        }

        func run() throws {
            if dryRun {
                for (number, check) in allChecks.enumerated() { say(TAPReport.listed(check, number: number + 1)) }
                return
            }
            let first = try opened(device)
            let second = try target.map(opened)
            var remarks = [
                "device: \(first.name)", "abilities: \(try CheckRun.abilities(of: first).joined(separator: ", "))", "seed: \(seed)",
            ]
            if let second { remarks.insert("target: \(second.name)", at: 1) }
            for line in TAPReport.head(remarks) { say(line) }
            var number = 0
            var failed: [String] = []
            do {
                try CheckRun(isDestructive: destructive, seed: seed).run(on: first, target: second) { result in
                    number += 1
                    for line in TAPReport.lines(result, number: number) { say(line) }
                    if case .deviates = result.outcome { failed.append(result.check.name) }
                }
            } catch {
                say("Bail out! \(error)")
                throw Environment("\(device): \(error)")
            }
            if !failed.isEmpty {
                throw Finding(description: "\(failed.count) of \(number) checks failed: \(failed.joined(separator: ", "))")
            }
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
