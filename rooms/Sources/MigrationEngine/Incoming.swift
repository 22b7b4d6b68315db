/// An incoming migration: what the threads of a destination share.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

package final class Incoming: MigrationSide {
    /// How far a postcopy has come.
    var phase = PostcopyPhase.none
    /// The source opened the return path.
    var hasReturnPath = false
    /// The package of a postcopy is loaded.
    var packageIsLoaded = false
    var load: LoadThread?
    var listen: LoadThread?
    /// Whether the process lives on after a failed load.
    package var survivesFailure = false

    /// Listens: the destination waits for its source.
    package init(_ host: Host, _ channel: Channel, _ clock: Clock, entered: @escaping (MigrationStatus) -> Void = { _ in }) {
        super.init(.destination, host, channel, clock, entered: entered)
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

    /// Says something to the source; false where nobody will hear it.
    func send(_ message: ReturnMessage) -> Bool {
        guard hasReturnPath else { return false }
        host.emit(.migrateSendRPMessage(ReturnPathMessage(rawValue: message.type) ?? .shut, length: Int64(message.length)))
        return channel.writeBack(message, at: clock.now)
    }
}
