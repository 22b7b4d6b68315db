/// `ackmatrix device diff`: what differs between the checks of two devices, drivers, firmware versions or kernels.
import ArgumentParser
import DeviceCheck
import Foundation
import Plan

struct DiffDevices: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Compare the results of two checks.",
        discussion: """
            FIRST and SECOND are folders of `ackmatrix device check --sheet`, or the files validation.json in them. The facts that differ \
            come first, then the checks: those that failed in the second alone, those that only the first made, and the rest.

            Exit status: 0 if the second is no worse than the first, 1 if a check failed in the second alone or was made in the first \
            alone, 2 if a sheet cannot be read.
            """)

    @Argument(help: ArgumentHelp("The older results.", valueName: "first"))
    var first: String

    @Argument(help: ArgumentHelp("The newer results.", valueName: "second"))
    var second: String

    func run() throws {
        let sheets = try (first: SheetFolder.read(first), second: SheetFolder.read(second))
        let difference = SheetDifference(sheets.first, sheets.second)
        for fact in difference.facts { say("\(fact.name): \(fact.first ?? "not told") -> \(fact.second ?? "not told")") }
        for kind in SheetDifference.Kind.allCases {
            let entries = difference.entries.filter { $0.kind == kind }
            if entries.isEmpty { continue }
            say("\(kind.title): \(entries.count)")
            for entry in entries {
                say("    \(entry.name): \(entry.statement)")
                say("        first   \(entry.first)")
                say("        second  \(entry.second)")
            }
        }
        say("first: \(sheets.first.summary); second: \(sheets.second.summary)")
        for (path, sheet) in [(first, sheets.first), (second, sheets.second)] {
            if let reason = sheet.brokenOff { say("\(path): the check ended early: \(reason)") }
        }
        if difference.isWorse {
            let names = difference.entries.filter(\.kind.isWorse).map(\.name)
            throw Finding(description: "\(second) is worse than \(first), or was checked less: \(names.joined(separator: ", "))")
        }
    }
}

/// The folder in which the results of a check are kept.
struct SheetFolder {
    private let folder: String

    /// Makes the folder if it is not there.
    init(_ folder: String) throws {
        self.folder = folder
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw Environment("\(folder): expected a folder for the sheet, which cannot be made: \(systemReason(error))")
        }
    }

    var page: String { folder + "/validation.html" }

    func write(_ sheet: ResultSheet) throws {
        try ackmatrix.write(try jsonText(sheet), to: folder + "/validation.json")
        try ackmatrix.write(SheetPage.html(sheet), to: page)
    }

    /// Reads the sheet of a folder, or a file.
    static func read(_ given: String) throws -> ResultSheet {
        var isFolder: ObjCBool = false
        let path =
            FileManager.default.fileExists(atPath: given, isDirectory: &isFolder) && isFolder.boolValue ? given + "/validation.json" : given
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw Environment("\(path): cannot be opened: \(String(cString: strerror(errno)))")
        }
        defer { try? file.close() }
        let data = try file.read(upToCount: ResultSheet.longest + 1) ?? Data()
        guard data.count <= ResultSheet.longest else {
            throw Environment("\(path): expected a sheet of at most \(ResultSheet.longest >> 10) KiB, found a longer file")
        }
        let sheet: ResultSheet
        do { sheet = try JSONDecoder().decode(ResultSheet.self, from: data) } catch {
            throw Environment("\(path): expected the JSON of a device check (--sheet), found something else: \(jsonReason(error))")
        }
        if let flaw = sheet.flaw { throw Environment("\(path): expected the JSON of a device check (--sheet): \(flaw)") }
        return sheet
    }
}
