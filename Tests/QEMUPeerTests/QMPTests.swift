import Foundation
import Glibc
import Testing

@testable import QEMUPeer

/// The other end of a monitor: a socket on which the test plays QEMU.
private final class PlayedQEMU: Sendable {
    private let descriptor: Int32

    init(connectingTo path: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let descriptor = descriptor
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
        try #require(connected == 0)
    }

    deinit { close(descriptor) }

    func say(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let sent = bytes.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard sent > 0 else { return }
            bytes = bytes.dropFirst(sent)
        }
    }

    /// Reads until a command of this name has come.
    func hear(_ command: String) {
        var text = ""
        var bytes = [UInt8](repeating: 0, count: 4096)
        while !text.contains(command) {
            let count = recv(descriptor, &bytes, bytes.count, 0)
            guard count > 0 else { return }
            text += String(decoding: bytes[..<count], as: UTF8.self)
        }
    }

    func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }
}

private func conversation(_ body: (QMPConnection, PlayedQEMU) async throws -> Void) async throws {
    let folder = try RunFolder()
    let listener = try QMPListener(path: folder.path + "/qmp")
    let qemu = try PlayedQEMU(connectingTo: listener.path)
    var lifetime: [Int32] = [0, 0]
    try #require(pipe(&lifetime) == 0)
    defer { for end in lifetime { close(end) } }
    let connection = try await listener.accept(process: lifetime[0], deadline: .after(seconds: 5))
    try await body(connection, qemu)
}

@Suite struct QMPTests {
    @Test func eventsBetweenCommandAndAnswerAreKept() async throws {
        try await conversation { connection, qemu in
            qemu.say("{\"QMP\": {\"version\": {}}}\r\n")
            async let negotiated: Void = connection.negotiate(deadline: .after(seconds: 5))
            qemu.hear("qmp_capabilities")
            qemu.say("{\"return\": {}, \"id\": 1}\r\n")
            try await negotiated
            async let answer = connection.execute("query-something")
            qemu.hear("query-something")
            qemu.say("{\"event\": \"MIGRATION\", \"data\": {\"status\": \"setup\"}}\r\n{\"return\": [7], \"id\": 2}\r\n")
            #expect(try await answer == .array([7]))
            qemu.say("{\"event\": \"STOP\"}\n")
            #expect(try await connection.event(deadline: .after(seconds: 5)).data["status"] == "setup")
            #expect(try await connection.event(deadline: .after(seconds: 5)).name == "STOP")
        }
    }

    @Test func anAnswerInPiecesAndALateAnswerToAnEarlierCommandAreSorted() async throws {
        try await conversation { connection, qemu in
            await #expect(throws: QMPError.self) { try await connection.execute("slow", deadline: .after(seconds: 0.05)) }
            qemu.say("{\"return\": \"late\", \"id\": 1}\n{\"ret")
            async let answer = connection.execute("next")
            qemu.say("urn\": \"now\", \"id\": 2}\n")
            let received = try await answer
            #expect(received == "now")
        }
    }

    @Test func aRefusalHasQEMUsWords() async throws {
        try await conversation { connection, qemu in
            qemu.say(
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Capability 'switchover-ack' requires capability 'return-path'\"}, \"id\": 1}\n"
            )
            await #expect(
                throws: QMPError.refused(
                    command: "migrate-set-capabilities", class: "GenericError",
                    description: "Capability 'switchover-ack' requires capability 'return-path'")
            ) { try await connection.execute("migrate-set-capabilities") }
        }
    }

    @Test(arguments: ["not json\n", "[1, 2]\n", "{\"event\": \n", "\u{1}\u{2}\n"])
    func aLineThatIsNoObjectIsRefused(line: String) async throws {
        try await conversation { connection, qemu in
            qemu.say(line)
            let error = await #expect(throws: QMPError.self) { try await connection.event(deadline: .after(seconds: 5)) }
            guard case .malformed = error else {
                Issue.record("expected .malformed, found \(String(describing: error))")
                return
            }
        }
    }

    @Test func anEndOfFileIsToldFromSilence() async throws {
        try await conversation { connection, qemu in
            let silence = await #expect(throws: QMPError.self) { try await connection.event(deadline: .after(seconds: 0.02)) }
            guard case .silent = silence else {
                Issue.record("expected .silent, found \(String(describing: silence))")
                return
            }
            qemu.hangUp()
            await #expect(throws: QMPError.closed(waitingFor: "an event")) { try await connection.event(deadline: .after(seconds: 5)) }
        }
    }

    @Test func aProcessThatEndsBeforeItConnectsIsNoticedAtOnce() async throws {
        let folder = try RunFolder()
        let listener = try QMPListener(path: folder.path + "/qmp")
        var lifetime: [Int32] = [0, 0]
        try #require(pipe(&lifetime) == 0)
        close(lifetime[1])
        defer { close(lifetime[0]) }
        await #expect(throws: QMPError.closed(waitingFor: "the monitor to connect")) {
            try await listener.accept(process: lifetime[0], deadline: .after(seconds: 30))
        }
    }

    /// An address has 107 bytes; a folder may have a longer path. A name that is itself too long is refused.
    @Test func aSocketMayBeInAFolderWithALongPath() throws {
        let folder = try RunFolder()
        let long = try folder.folder(String(repeating: "x", count: 200))
        let listener = try QMPListener(path: long + "/qmp")
        #expect(FileManager.default.fileExists(atPath: listener.path))
        #expect(throws: QMPError.self) { try QMPListener(path: folder.path + "/" + String(repeating: "x", count: 108)) }
        let missing = #expect(throws: QMPError.self) { try QMPListener(path: folder.path + "/nowhere/qmp") }
        #expect(missing?.description.contains("No such file or directory") == true)
    }
}
