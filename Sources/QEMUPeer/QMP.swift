/// The QEMU Machine Protocol over a unix socket: one conversation, with deadlines.
///
/// This program listens and QEMU connects at start-up, so the socket always exists before QEMU needs it. While a device call is held on a
/// destination, the destination's main loop is blocked: silence until a deadline is no failure, an end of file is.
import Foundation
import Glibc
import Plan

package enum QMPError: Error, Hashable, CustomStringConvertible {
    /// QEMU refused a command.
    case refused(command: String, class: String, description: String)
    /// No message, or no further one, arrived before the deadline.
    case silent(waitingFor: String, seconds: Double)
    /// QEMU closed the connection: it quit or died.
    case closed(waitingFor: String)
    case malformed(String)
    case socket(path: String, reason: String)

    /// True if QEMU caused the error; false if the environment did.
    package var isOfQEMU: Bool {
        if case .socket = self { false } else { true }
    }

    package var description: String {
        switch self {
        case .refused(let command, let errorClass, let text): "QMP \(command): \(errorClass): \(text)"
        case .silent(let what, let seconds): "QMP: no answer for \(String(format: "%.1f", seconds)) s, waiting for \(what)"
        case .closed(let what): "QMP: the connection ended while waiting for \(what)"
        case .malformed(let text): "QMP: expected a JSON object on a line, found \(text.prefix(120).debugDescription)"
        case .socket(let path, let reason): "\(path): \(reason)"
        }
    }
}

/// An event as QMP sends it.
package struct QMPEvent: Hashable, Sendable {
    package let name: String
    package let data: JSONValue
}

/// The process at the other end of a monitor, for messages.
struct MonitoredProcess: Sendable {
    let role: Role
    let binary: String
    let process: Int32

    init(_ role: Role, _ binary: String, _ process: Int32) {
        self.role = role
        self.binary = binary
        self.process = process
    }

    /// The side, as the end of a message; with what explains its silence.
    var name: String { " of the \(role.rawValue) \(binary)" }
    var silentName: String { name + (isStopped(process) ? ", whose process is stopped" : "") }
}

/// A listening unix socket, removed when its owner releases it.
final class QMPListener: Sendable {
    let path: String
    private let descriptor: Int32

    /// Binds and listens. QEMU names the socket from its folder.
    init(path: String) throws(QMPError) {
        let descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .socket(path: path, reason: "socket: \(String(cString: strerror(errno)))") }
        do {
            try withUnixAddress(path) { address throws(QMPError) in
                let bound = bind(descriptor, address.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(address.count))
                guard bound == 0, listen(descriptor, 1) == 0 else {
                    throw .socket(path: path, reason: "cannot listen: \(String(cString: strerror(errno)))")
                }
            }
        } catch {
            Glibc.close(descriptor)
            throw error
        }
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        Glibc.close(descriptor)
        unlink(path)
    }

    /// Accepts the one connection. `process` is a descriptor that becomes readable when the process ends (a pidfd):
    /// a QEMU that refuses its command line never connects. `printed` is the file with what it prints, which must not grow without end.
    func accept(
        process: Int32, whose: MonitoredProcess? = nil, mostPrinted printed: String? = nil, deadline: Deadline
    ) async throws -> QMPConnection {
        let descriptor = descriptor
        let began = Deadline.now
        while true {
            try Task.checkCancellation()
            // In slices, so that a long deadline delays no cancelled task.
            let connection = try await blocking { () throws -> Int32? in
                var waits = [
                    pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0), pollfd(fd: process, events: Int16(POLLIN), revents: 0),
                ]
                while poll(&waits, 2, min(deadline, .after(seconds: 0.25)).pollTimeout) < 0 && errno == EINTR {}
                if waits[0].revents != 0 {
                    let connection = Glibc.accept(descriptor, nil, nil)
                    guard connection >= 0, fcntl(connection, F_SETFD, FD_CLOEXEC) == 0 else {
                        throw QMPError.socket(path: "accept", reason: String(cString: strerror(errno)))
                    }
                    return connection
                }
                if waits[1].revents != 0 { throw QMPError.closed(waitingFor: "the monitor\(whose?.name ?? "") to connect") }
                return nil
            }
            if let connection { return QMPConnection(descriptor: connection, whose: whose) }
            if let printed, fileSize(printed) > mostStandardError { throw tooMuchPrinted(whose) }
            guard deadline.remaining > 0 else {
                throw QMPError.silent(
                    waitingFor: "the monitor\(whose?.silentName ?? "") to connect",
                    seconds: Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9)
            }
        }
    }
}

/// One monitor connection. Several tasks may use it at once: the first one that waits reads for all.
package actor QMPConnection {
    private let descriptor: Int32
    private let whose: MonitoredProcess?
    /// When the other end last said anything.
    private var heard = Deadline.now
    private var received: [UInt8] = []
    private var nextID: Int64 = 1
    /// Events that have arrived and that no task has taken yet.
    private var events: [QMPEvent] = []
    /// Answers that have arrived, by the command's number; only those that a task still waits for.
    private var answers: [Int64: JSONValue] = [:]
    private var awaited: Set<Int64> = []
    private var greeting: JSONValue?
    private var isReading = false
    private var isSending = false
    /// True if the other end has closed the connection.
    private(set) var isClosed = false
    /// Tasks that wait while another one reads.
    private var waiting: [CheckedContinuation<Void, Never>] = []
    private var waitingToSend: [CheckedContinuation<Void, Never>] = []

    /// The longest line accepted, in bytes; the answer to `query-qmp-schema` has some 300 KB.
    private static let longestLine = 16 << 20

    init(descriptor: Int32, whose: MonitoredProcess? = nil) {
        self.descriptor = descriptor
        self.whose = whose
    }

    /// How long the other end has said nothing.
    var secondsOfSilence: Double { Double(Deadline.now.nanoseconds - heard.nanoseconds) / 1e9 }

    deinit { Glibc.close(descriptor) }

    /// Reads the greeting and leaves negotiation mode.
    func negotiate(deadline: Deadline) async throws {
        _ = try await read(waitingFor: "the greeting", deadline: deadline) { self.greeting }
        try await execute("qmp_capabilities", deadline: deadline)
    }

    /// Runs a command and returns what it returns. Throws `QMPError.refused` with QEMU's own words.
    @discardableResult
    package func execute(_ command: String, _ arguments: JSONValue? = nil, deadline: Deadline = .after(seconds: 10)) async throws
        -> JSONValue
    {
        let id = newID()
        awaited.insert(id)
        defer {
            awaited.remove(id)
            answers[id] = nil
        }
        try await send(command, arguments, id: id, deadline: deadline)
        let answer = try await read(waitingFor: "the answer to \(command)", deadline: deadline) { self.answers[id] }
        if let error = answer["error"] {
            throw QMPError.refused(
                command: command, class: error["class"]?.string ?? "?", description: error["desc"]?.string ?? "no description")
        }
        return answer["return"] ?? .null
    }

    /// Sends a command and does not await its answer.
    func request(_ command: String, _ arguments: JSONValue? = nil, deadline: Deadline) async throws {
        try await send(command, arguments, id: newID(), deadline: deadline)
    }

    private func newID() -> Int64 {
        defer { nextID += 1 }
        return nextID
    }

    private func send(_ command: String, _ arguments: JSONValue?, id: Int64, deadline: Deadline) async throws {
        var request: [String: JSONValue] = ["execute": .string(command), "id": .integer(id)]
        request["arguments"] = arguments
        try await send(JSONEncoder().encode(JSONValue.object(request)) + [UInt8(ascii: "\n")], waitingFor: command, deadline: deadline)
    }

    /// The next event: one that has already arrived, or the next one to arrive.
    package func event(deadline: Deadline, waitingFor what: String = "an event") async throws -> QMPEvent {
        try await read(waitingFor: what, deadline: deadline) { self.events.isEmpty ? nil : self.events.removeFirst() }
    }

    /// Reads until `take` finds its value among the messages that have arrived.
    private func read<Value: Sendable>(waitingFor what: String, deadline: Deadline, take: () -> Value?) async throws -> Value {
        let began = Deadline.now
        var hasRead = false
        while true {
            try sort()
            if let value = take() { return value }
            if isClosed { throw QMPError.closed(waitingFor: what + (whose?.name ?? "")) }
            if hasRead && deadline.remaining == 0 {
                throw QMPError.silent(
                    waitingFor: what + (whose?.silentName ?? ""), seconds: Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9)
            }
            guard received.count < Self.longestLine else { throw QMPError.malformed("a line of more than \(Self.longestLine) bytes") }
            try Task.checkCancellation()
            if isReading {
                await withCheckedContinuation { waiting.append($0) }
            } else {
                isReading = true
                defer {
                    isReading = false
                    for continuation in waiting { continuation.resume() }
                    waiting = []
                }
                // In slices, so that a long deadline delays neither a cancelled task nor one with a shorter deadline.
                switch try await readSome(min(deadline, .after(seconds: 0.1))) {
                case .bytes(let bytes):
                    received += bytes
                    heard = .now
                case .end: isClosed = true
                case .nothing: break
                }
            }
            hasRead = true
        }
    }

    /// Sorts the whole messages into events, answers and the greeting.
    private func sort() throws {
        while let line = nextLine() {
            guard let message = try? JSONDecoder().decode(JSONValue.self, from: line), case .object = message else {
                throw QMPError.malformed(String(decoding: line, as: UTF8.self))
            }
            if let name = message["event"]?.string {
                events.append(QMPEvent(name: name, data: message["data"] ?? .null))
            } else if let id = message["id"]?.integer {
                // The answer to a command that has exceeded its deadline is dropped.
                if awaited.contains(id) { answers[id] = message }
            } else if message["QMP"] != nil {
                greeting = message
            }
        }
    }

    /// Removes and returns the next whole line that is not blank; nil if more must be read first.
    ///
    /// MIGRATION_PASS is dropped unread: QEMU 11.1 sends it with each iteration of a source that waits for an ACK, up to 8,000 times a
    /// second, and the trace log has each iteration anyway.
    private func nextLine() -> Data? {
        let (line, end) = received.withUnsafeBytes { bytes -> (Data?, Int) in
            var start = 0
            while let base = bytes.baseAddress, start < bytes.count,
                let newline = memchr(base + start, 0x0a, bytes.count - start)
            {
                let end = UnsafeRawPointer(newline) - base
                let line = Data(bytes[start..<end])
                start = end + 1
                let isBlank = line.isEmpty || line.elementsEqual([0x0d])
                if !isBlank && line.range(of: Self.passEvent) == nil { return (line, start) }
            }
            return (nil, start)
        }
        received.removeSubrange(..<end)
        return line
    }

    private static let passEvent = Data("\"event\": \"MIGRATION_PASS\"".utf8)

    private enum Reading {
        case bytes([UInt8])
        case end, nothing
    }

    private func readSome(_ deadline: Deadline) async throws -> Reading {
        let descriptor = descriptor
        return try await blocking {
            var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, deadline.pollTimeout) > 0 else { return .nothing }
            var bytes = [UInt8](repeating: 0, count: 64 << 10)
            let count = recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
            if count < 0 { return errno == EAGAIN || errno == EINTR ? .nothing : .end }
            return count == 0 ? .end : .bytes(Array(bytes[..<count]))
        }
    }

    private func send(_ bytes: Data, waitingFor command: String, deadline: Deadline) async throws {
        // Commands must not interleave.
        while isSending { await withCheckedContinuation { waitingToSend.append($0) } }
        isSending = true
        defer {
            isSending = false
            for continuation in waitingToSend { continuation.resume() }
            waitingToSend = []
        }
        let (descriptor, whose) = (descriptor, whose)
        let bytes = [UInt8](bytes)
        let began = Deadline.now
        try await blocking {
            var sent = 0
            while sent < bytes.count {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                guard poll(&wait, 1, deadline.pollTimeout) > 0 else {
                    throw QMPError.silent(
                        waitingFor: "QEMU to read \(command)\(whose?.silentName ?? "")",
                        seconds: Double(Deadline.now.nanoseconds - began.nanoseconds) / 1e9)
                }
                let count = bytes[sent...].withUnsafeBytes {
                    Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
                }
                if count < 0 && errno != EAGAIN && errno != EINTR {
                    throw QMPError.closed(waitingFor: "QEMU to read \(command)\(whose?.name ?? "")")
                }
                sent += max(count, 0)
            }
        }
    }
}

/// The failure of a QEMU whose output would fill the disk.
func tooMuchPrinted(_ whose: MonitoredProcess?) -> SideError {
    let side = whose.map { "the \($0.role.rawValue) \($0.binary)" } ?? "QEMU"
    return SideError("\(side) printed more than \(mostStandardError >> 20) MiB on standard error, and was ended")
}
