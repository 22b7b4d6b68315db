import Glibc
import Plan
import Testing

@testable import QEMUPeer

/// A relay carries every byte, and breaks only what it is told to break.
@Suite struct RelayTests {
    /// Both ends of a relayed connection; the listener stands for the destination's port.
    private final class Ends {
        let source: Int32
        let destination: Int32
        let relay: Relay

        init() throws {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(listener) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            func call(_ body: (UnsafeMutablePointer<sockaddr>) -> Int32) throws {
                let result = withUnsafeMutablePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
                try #require(result == 0)
            }
            try call { bind(listener, $0, length) }
            try #require(listen(listener, 1) == 0)
            try call { getsockname(listener, $0, &length) }
            relay = try Relay(to: UInt16(bigEndian: address.sin_port))
            address.sin_port = relay.port.bigEndian
            let source = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            self.source = source
            try call { connect(source, $0, length) }
            destination = accept(listener, nil, nil)
            try #require(destination >= 0)
        }

        deinit {
            relay.end()
            close(source)
            close(destination)
        }
    }

    private func write(_ text: String, to end: Int32) throws {
        try #require(send(end, text, text.utf8.count, Int32(MSG_NOSIGNAL)) == text.utf8.count)
    }

    /// The bytes up to `count`, or to the end of the stream.
    private func read(_ end: Int32, _ count: Int = 64) -> String {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var buffer = [UInt8](repeating: 0, count: count - bytes.count)
            let got = recv(end, &buffer, buffer.count, 0)
            guard got > 0 else { break }
            bytes += buffer.prefix(got)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test func bytesGoBothWays() throws {
        let ends = try Ends()
        try write("PART", to: ends.source)
        #expect(read(ends.destination, 4) == "PART")
        try write("ACK", to: ends.destination)
        #expect(read(ends.source, 3) == "ACK")
        // The end of one side's stream is passed on.
        shutdown(ends.source, Int32(SHUT_WR))
        #expect(read(ends.destination) == "")
        try write("SHUT", to: ends.destination)
        #expect(read(ends.source, 4) == "SHUT")
    }

    @Test func aCutChannelEndsBothStreams() throws {
        let ends = try Ends()
        try write("PART", to: ends.source)
        #expect(read(ends.destination, 4) == "PART")
        try ends.relay.cut(.whole)
        #expect(read(ends.source) == "")
        #expect(read(ends.destination) == "")
    }

    @Test func aCutReturnPathCarriesOnWhatTheSourceWrites() throws {
        let ends = try Ends()
        try write("PART", to: ends.source)
        #expect(read(ends.destination, 4) == "PART")
        try ends.relay.cut(.returnPath)
        #expect(read(ends.source) == "")
        try write("END", to: ends.source)
        #expect(read(ends.destination, 3) == "END")
    }

    @Test func nothingToCutIsAnError() throws {
        let relay = try Relay(to: 1)
        #expect(throws: SideError.self) { try relay.cut(.whole) }
        relay.end()
    }
}
