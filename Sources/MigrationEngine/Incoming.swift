/// An incoming migration: the state that the threads of a destination share.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

package final class Incoming: MigrationSide {
    /// The phase of a postcopy.
    var phase = PostcopyPhase.none
    /// True if the source has opened the return path.
    var hasReturnPath = false
    /// True if the package of a postcopy is loaded.
    var packageIsLoaded = false
    var load: LoadThread?
    var listen: LoadThread?
    /// True if the process lives on after a failed load.
    package var survivesFailure = false

    /// Begins to listen for the source.
    package init(_ host: Host, _ channel: Channel, _ clock: Clock, entered: @escaping (MigrationStatus) -> Void = { _ in }) {
        super.init(.destination, host, channel, clock, entered: entered)
        host.begin(in: .inmigrate)
        change(.none, to: .setup)
    }

    /// Accepts the source's connection.
    package func accept() {
        change(.setup, to: .active)
        if !host.generation.isWrong(.approverKept) || !host.hasLoaded {
            host.approver = DestinationApprover(host.generation, mode: host.settings.mode, capability: host.has(.switchoverAck))
        }
        host.hasLoaded = true
        host.sendReturnPath = { [self] in send($0) }
        load = LoadThread(self, isListening: false)
    }

    /// Sends a message to the source. Returns false if there is no return path, or its channel has ended.
    func send(_ message: ReturnMessage) -> Bool {
        guard hasReturnPath else { return false }
        host.emit(.migrateSendRPMessage(ReturnPathMessage(rawValue: message.type) ?? .shut, length: Int64(message.length)))
        return channel.writeBack(message, at: clock.now)
    }
}
