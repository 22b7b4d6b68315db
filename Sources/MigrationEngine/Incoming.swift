/// An incoming migration: what the threads of a destination share.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

package final class Incoming {
    package let host: Host
    package let clock: Clock
    package internal(set) var channel: Channel
    private var kept: KeptStatus
    package var status: MigrationStatus { kept.word }
    package private(set) var error: String?
    /// How far a postcopy has come.
    var phase = PostcopyPhase.none
    /// The source opened the return path.
    var hasReturnPath = false
    /// The package of a postcopy is loaded.
    var packageIsLoaded = false
    var load: LoadThread?
    var listen: LoadThread?
    let entered: (MigrationStatus) -> Void
    /// Whether the process lives on after a failed load.
    package var survivesFailure = false

    var generation: Generation { host.generation }
    package var isOver: Bool { kept.status.isFinal && isClean }
    package internal(set) var isClean = false

    /// Listens: the destination waits for its source.
    package init(_ host: Host, _ channel: Channel, _ clock: Clock, entered: @escaping (MigrationStatus) -> Void = { _ in }) {
        self.host = host
        self.channel = channel
        self.clock = clock
        self.entered = entered
        kept = KeptStatus(host.generation, .destination)
        host.begin(in: .inmigrate)
        change(.none, to: .setup)
    }

    /// The source has connected.
    package func accept() {
        change(.setup, to: .active)
        host.approver = DestinationApprover(host.generation, mode: host.settings.mode, capability: host.has(.switchoverAck))
        host.sendReturnPath = { [self] in send($0) }
        load = LoadThread(self, isListening: false)
    }

    /// As a source changes its own.
    @discardableResult
    func change(_ from: MigrationStatus, to next: MigrationStatus) -> Bool {
        guard kept.change(from, to: next) else {
            host.note(kept.machine.illegal)
            return false
        }
        host.emit(.migrateSetState(next))
        entered(next)
        return true
    }

    /// The load fails, from wherever it is.
    func fail() {
        guard let next = kept.failure(.other) else { return }
        change(status, to: next)
    }

    func store(_ text: String) {
        host.emit(.migrateError(text))
        if error == nil { error = text }
    }

    /// Says something to the source; false where nobody will hear it.
    func send(_ message: ReturnMessage) -> Bool {
        guard hasReturnPath else { return false }
        host.emit(.migrateSendRPMessage(ReturnPathMessage(rawValue: message.type) ?? .shut, length: Int64(message.length)))
        return channel.writeBack(message, at: clock.now)
    }
}
