/// `ackmatrix script`: checks device scripts before a run uses them.
import ArgumentParser
import Glibc
import Plan
import VFIO

struct ScriptCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "script", abstract: "Check device scripts.",
        discussion: "The grammar is in harness/vfio/include/device_script.h. A script has at most 64 KiB, and no more of a file is read.",
        subcommands: [Check.self])

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print the abilities and gates of each script's device, or file, line and reason if the script is refused.",
            discussion: "No more than \(DeviceScript.longestText) bytes of a file are read; a longer script is refused.")

        @Argument(help: "Device scripts.") var files: [String]

        func run() throws {
            var refused = 0
            for file in files {
                let text = try scriptText(of: file)
                do {
                    let script = try DeviceScript(text, file: file)
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

/// The text of a file, at most one byte more than a script may have: the parser refuses what is longer.
func scriptText(of file: String) throws -> String {
    let descriptor = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw Environment("\(file): cannot be read: \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0, [S_IFREG, S_IFCHR].contains(status.st_mode & S_IFMT) else {
        throw Environment("\(file): cannot be read: expected a file, found a folder, a pipe or the like")
    }
    let most = DeviceScript.longestText + 1
    let bytes = try [UInt8](unsafeUninitializedCapacity: most) { buffer, count in
        while count < most {
            let part = read(descriptor, buffer.baseAddress! + count, most - count)
            if part < 0, errno == EINTR { continue }
            guard part >= 0 else { throw Environment("\(file): cannot be read: \(String(cString: strerror(errno)))") }
            if part == 0 { break }
            count += part
        }
    }
    return String(decoding: bytes, as: UTF8.self)
}
