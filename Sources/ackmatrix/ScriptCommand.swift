/// `ackmatrix script`: checks device scripts before a run uses them.
import ArgumentParser
import Foundation
import Plan
import VFIO

struct ScriptCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "script", abstract: "Check device scripts.",
        discussion: "The grammar is in harness/vfio/include/device_script.h.", subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the abilities and gates of each script's device, or file, line and reason if the script is refused.")

        @Argument(help: "Device scripts.") var files: [String]

        func run() throws {
            var refused = 0
            for file in files {
                guard let data = FileManager.default.contents(atPath: file) else { throw Environment("\(file): cannot be read") }
                do {
                    let script = try DeviceScript(String(decoding: data, as: UTF8.self), file: file)
                    let abilities = [("precopy", script.hasPrecopy), ("p2p", script.hasP2P), ("reinit", script.hasReinit)].filter(\.1).map(
                        \.0)
                    let gates = script.gates.isEmpty ? "" : "; gates " + script.gates.joined(separator: ", ")
                    say("\(file): stop-copy\(abilities.map { ", " + $0 }.joined())\(gates)")
                } catch {
                    say("\(error)")
                    refused += 1
                }
            }
            if refused > 0 { throw Environment("\(refused) of \(files.count) scripts refused") }
        }
    }
}
