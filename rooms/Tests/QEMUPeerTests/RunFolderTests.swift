import Foundation
import Glibc
import Plan
import Testing

@testable import QEMUPeer

@Suite struct RunFolderTests {
    @Test func theFolderGoesWithItsOwner() throws {
        var path = ""
        do {
            let folder = try RunFolder()
            path = folder.path
            _ = try folder.folder("cell")
            #expect(FileManager.default.fileExists(atPath: path + "/cell"))
        }
        #expect(!FileManager.default.fileExists(atPath: path))
    }

    @Test func aStartSweepsWhatNobodyHoldsAndNothingElse() throws {
        let living = try RunFolder()
        let parent = URL(fileURLWithPath: living.path).deletingLastPathComponent().path
        let dead = "\(parent)/run.dead\(getpid())"
        try FileManager.default.createDirectory(atPath: dead + "/cell", withIntermediateDirectories: true)
        let next = try RunFolder()
        #expect(!FileManager.default.fileExists(atPath: dead))
        #expect(FileManager.default.fileExists(atPath: living.path))
        #expect(FileManager.default.fileExists(atPath: next.path))
    }
}

@Suite struct LogTailTests {
    @Test func linesAreCountedAcrossReadsPrefixesAndPieces() throws {
        let folder = try RunFolder()
        let path = folder.path + "/log"
        try Data().write(to: URL(fileURLWithPath: path))
        let handle = try #require(FileHandle(forWritingAtPath: path))
        var tail = try LogTail(LogSlice(path: path, start: 0), event: "migrate_transferred")
        #expect(try tail.count() == 0)
        handle.write(Data("migrate_transferred transferred 1\n2026-11-21T03:34:14.612933Z migrate_transferred x\n".utf8))
        #expect(try tail.count() == 2)
        handle.write(Data("72@1795232416.851650:migrate_trans".utf8))
        #expect(try tail.count() == 2)
        handle.write(Data("ferred y\nnot_migrate_transferred z\nmigrate_transferred_bytes 4\n".utf8))
        #expect(try tail.count() == 3)
        handle.write(Data("migrate_transferred ".utf8))
        #expect(try tail.count() == 4)
        #expect(try tail.count() == 4)
        handle.write(Data("\u{0}\u{0} migrate_transferred \n".utf8))
        #expect(try tail.count() == 5)
    }

    @Test func aLogLongerThanTheBufferIsCountedWhole() throws {
        let folder = try RunFolder()
        let path = folder.path + "/log"
        let line = "2026-11-21T03:34:14.612933Z migrate_transferred transferred 124030 time_spent 120\n"
        try Data(String(repeating: line, count: 20_000).utf8).write(to: URL(fileURLWithPath: path))
        var tail = try LogTail(LogSlice(path: path, start: 0), event: "migrate_transferred")
        #expect(try tail.count() == 20_000)
    }
}

@Suite struct BinaryListTests {
    @Test func theListIsReadAndAnOwnBuildTakesTheNameOver() throws {
        let folder = try RunFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/qemu", withIntermediateDirectories: true)
        try "10.0\t10.0.13\ttrixie\t/r/10\n11.1\t11.1.3\ttrixie-backports\t/r/11\n".write(
            toFile: folder.path + "/qemu/binaries", atomically: false, encoding: .utf8)
        let own = QEMUBinary(name: "11.1", start: .executable("/opt/qemu"))
        let binaries = try QEMUBinaries(cache: folder.path, own: [own])
        #expect(binaries.all.map(\.name) == ["10.0", "11.1"])
        #expect(binaries["11.1"] == own)
        #expect(binaries["10.0"]?.path == "/r/10/usr/bin/qemu-system-x86_64")
    }

    @Test(arguments: ["10.0\t10.0.13\ttrixie\n", "10.0 10.0.13 trixie /r\n", "\t\t\t\n"])
    func aDamagedListIsRefusedWithItsLine(text: String) throws {
        let folder = try RunFolder()
        try FileManager.default.createDirectory(atPath: folder.path + "/qemu", withIntermediateDirectories: true)
        try text.write(toFile: folder.path + "/qemu/binaries", atomically: false, encoding: .utf8)
        let error = #expect(throws: Environment.self) { try QEMUBinaries(cache: folder.path) }
        #expect(error?.description.contains("binaries:1:") == true)
    }

    @Test func noListMeansNothingFetched() throws {
        let folder = try RunFolder()
        #expect(try QEMUBinaries(cache: folder.path).all.isEmpty)
    }

    @Test func aCommandIsQuotedForAShell() {
        let line = shellLine("/r/ld.so", ["-M", "q35", "a b", "it's", ""], ["Z": "1", "A": "x y"])
        #expect(line == "A='x y' Z=1 /r/ld.so -M q35 'a b' 'it'\\''s' ''\n")
    }
}
