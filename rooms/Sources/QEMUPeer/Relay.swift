/// A relay between the two sides of a migration on loopback: a network that can break where neither side asked for it.
///
/// It carries one connection, byte for byte, and takes no part in it. As in any network, what is on its way when it breaks may be lost.
import Dispatch
import Glibc
import Plan

final class Relay: Sendable {
    /// Where the source connects to.
    let port: UInt16
    private let listener: Int32
    private let destination: UInt16
    /// Guards `ends`. A queue and no `Mutex`: of a contended one ThreadSanitizer does not see how it passes on (Swift 6.3).
    private let lock = DispatchQueue(label: "ackmatrix.relay.ends")
    private nonisolated(unsafe) var ends: (source: Int32, destination: Int32)?

    /// Listens on a free port for the one connection that it carries on to the destination's port.
    init(to destination: UInt16) throws {
        self.destination = destination
        let listener = try checked("socket", socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0))
        self.listener = listener
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        do {
            try checked("bind", withAddress(&address) { bind(listener, $0, length) })
            try checked("listen", Glibc.listen(listener, 1))
            try checked("getsockname", withAddress(&address) { getsockname(listener, $0, &length) })
        } catch {
            close(listener)
            throw error
        }
        port = UInt16(bigEndian: address.sin_port)
        // It ends with the connection, or with the listener, which whoever made it closes.
        DispatchQueue(label: "ackmatrix.relay").async { self.carry() }
    }

    deinit { close(listener) }

    /// Cuts the channel, or a part of it, between one byte and the next.
    func cut(_ part: ChannelPart) throws {
        try lock.sync {
            guard let ends else { throw SideError("\(part.rawValue) is to be cut, but nothing is connected") }
            switch part {
            case .whole:
                // Each side comes to the end of what it reads, and finds nobody to write to.
                shutdown(ends.destination, Int32(SHUT_RD))
                shutdown(ends.source, Int32(SHUT_RDWR))
            case .returnPath:
                shutdown(ends.destination, Int32(SHUT_RD))
                shutdown(ends.source, Int32(SHUT_WR))
            }
        }
    }

    /// Ends it, whatever is under way.
    func end() {
        shutdown(listener, Int32(SHUT_RDWR))
        lock.sync {
            guard let ends else { return }
            shutdown(ends.source, Int32(SHUT_RDWR))
            shutdown(ends.destination, Int32(SHUT_RDWR))
        }
    }

    private func carry() {
        let source = accept(listener, nil, nil)
        guard source >= 0 else { return }
        _ = fcntl(source, F_SETFD, FD_CLOEXEC)
        let onward = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = loopback(destination)
        let isConnected = onward >= 0 && withAddress(&address) { connect(onward, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) } == 0
        // A destination that does not listen is, to the source, a connection that ends at once.
        if isConnected {
            lock.sync { ends = (source, onward) }
            let back = DispatchGroup()
            DispatchQueue(label: "ackmatrix.relay.back").async(group: back) { copy(onward, to: source) }
            copy(source, to: onward)
            back.wait()
            lock.sync { ends = nil }
        }
        if onward >= 0 { close(onward) }
        close(source)
    }
}

/// Copies until either end is at its end, and passes that on.
private func copy(_ from: Int32, to: Int32) {
    withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 16) { buffer in
        while true {
            let count = recv(from, buffer.baseAddress, buffer.count, 0)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { break }
            var sent = 0
            while sent < count {
                let part = send(to, buffer.baseAddress! + sent, count - sent, Int32(MSG_NOSIGNAL))
                if part < 0 && errno == EINTR { continue }
                guard part > 0 else {
                    shutdown(from, Int32(SHUT_RD))
                    return
                }
                sent += part
            }
        }
    }
    shutdown(to, Int32(SHUT_WR))
}

private func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
    return address
}

private func withAddress<Value>(_ address: inout sockaddr_in, _ body: (UnsafeMutablePointer<sockaddr>) -> Value) -> Value {
    withUnsafeMutablePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
}

@discardableResult
private func checked(_ call: String, _ result: Int32) throws -> Int32 {
    guard result >= 0 else { throw Environment("a relay on loopback: \(call): \(String(cString: strerror(errno)))") }
    return result
}
