/// The address of a monitor that somebody else's QEMU listens at.
import Glibc
import Plan

package enum QMPAddress: Hashable, Sendable, CustomStringConvertible {
    /// The path of a unix socket, possibly forwarded from another host.
    case unix(String)
    case tcp(host: String, port: UInt16)

    /// `unix:PATH`, `PATH`, `tcp:HOST:PORT` or `HOST:PORT`; an IPv6 address stands in brackets. nil for anything else.
    package init?(_ text: String) {
        let rest = ["unix:", "tcp:"].first { text.hasPrefix($0) }.map { text.dropFirst($0.count) } ?? text[...]
        let isUnix = text.hasPrefix("unix:") || !text.hasPrefix("tcp:") && rest.contains("/")
        if isUnix {
            guard !rest.isEmpty else { return nil }
            self = .unix(String(rest))
            return
        }
        guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]), port > 0 else { return nil }
        let host = rest[..<colon].drop { $0 == "[" }.prefix { $0 != "]" }
        guard !host.isEmpty else { return nil }
        self = .tcp(host: String(host), port: port)
    }

    package var description: String {
        switch self {
        case .unix(let path): path
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    /// Connects, and leaves negotiation mode. QEMU serves one client at a time: where another one is connected, nothing is answered.
    package func connect(deadline: Deadline) async throws -> QMPConnection {
        let connection = QMPConnection(descriptor: try await blocking { try opened(deadline) })
        do { try await connection.negotiate(deadline: deadline) } catch QMPError.silent {
            throw QMPError.socket(
                path: description, reason: "expected QEMU's greeting, found silence; is another client connected to this monitor?")
        }
        return connection
    }

    private func opened(_ deadline: Deadline) throws(QMPError) -> Int32 {
        switch self {
        case .unix(let path): return try openUnix(path, deadline)
        case .tcp(let host, let port): return try openTCP(host, port, deadline)
        }
    }

    private func openUnix(_ path: String, _ deadline: Deadline) throws(QMPError) -> Int32 {
        try withUnixAddress(path) { address throws(QMPError) in try connected(AF_UNIX, address, deadline) }
    }

    private func openTCP(_ host: String, _ port: UInt16, _ deadline: Deadline) throws(QMPError) -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, "\(port)", &hints, &found)
        guard code == 0 else { throw .socket(path: description, reason: String(cString: gai_strerror(code))) }
        defer { freeaddrinfo(found) }
        var failure = QMPError.socket(path: description, reason: "the host has no address")
        var next = found
        while let info = next?.pointee {
            do throws(QMPError) {
                return try connected(info.ai_family, UnsafeRawBufferPointer(start: info.ai_addr, count: Int(info.ai_addrlen)), deadline)
            } catch { failure = error }
            next = info.ai_next
        }
        throw failure
    }

    private func connected(_ family: Int32, _ address: UnsafeRawBufferPointer, _ deadline: Deadline) throws(QMPError) -> Int32 {
        func failure(_ code: Int32) -> QMPError { .socket(path: description, reason: String(cString: strerror(code))) }
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(family, kind, 0)
        guard descriptor >= 0 else { throw failure(errno) }
        let result = Glibc.connect(descriptor, address.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(address.count))
        if result == 0 { return descriptor }
        guard errno == EINPROGRESS else {
            defer { close(descriptor) }
            throw errno == EAGAIN
                ? .socket(path: description, reason: "its queue is full: another client is connected to this monitor") : failure(errno)
        }
        var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        let isReady = poll(&wait, 1, deadline.pollTimeout)
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        if isReady > 0, code == 0 { return descriptor }
        close(descriptor)
        throw failure(isReady > 0 ? code : ETIMEDOUT)
    }
}
