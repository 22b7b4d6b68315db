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
            abstract: "Print the abilities and gates of each script's device, or file, line and reason if the script is refused.",
            discussion: "No more than \(DeviceScript.longest) bytes of a file are read; a longer script is refused.")

        @Argument(help: "Device scripts.") var files: [String]

        func run() throws {
            var refused = 0
            for file in files {
                guard let data = beginning(of: file, bytes: DeviceScript.longest + 1) else { throw Environment("\(file): cannot be read") }
                do {
                    guard data.count <= DeviceScript.longest else {
                        throw DeviceScript.Refusal(
                            file: file, line: 0, reason: "expected a script of at most \(DeviceScript.longest) bytes, found more")
                    }
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

/// The first bytes of a file, or of what a pipe brings; nil if it cannot be read.
private func beginning(of path: String, bytes limit: Int) -> Data? {
    guard let file = FileHandle(forReadingAtPath: path) else { return nil }
    defer { try? file.close() }
    var data = Data()
    while data.count < limit {
        do {
            guard let part = try file.read(upToCount: limit - data.count), !part.isEmpty else { return data }
            data += part
        } catch { return nil }
    }
    return data
}
