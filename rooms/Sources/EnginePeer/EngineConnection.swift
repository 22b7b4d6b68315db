/// How two processes of the engine are connected: over what the source reaches the destination, and what closes when one of them ends.
import MigrationEngine
import Plan

final class EngineConnection {
    /// What the migration begins over.
    let first: Channel
    private unowned let source: EngineProcess
    private unowned let destination: EngineProcess
    /// A paused postcopy goes on over a channel of its own.
    private let another: () -> Channel

    /// The source's next connections go to this destination, whenever it listens.
    init(
        _ source: EngineProcess, _ destination: EngineProcess, over first: Channel, another: @escaping () -> Channel = { Channel() },
        _ simulation: Simulation
    ) {
        self.source = source
        self.destination = destination
        self.first = first
        self.another = another
        source.main.destination = { [unowned self] in connection() }
        simulation.aborted = { [unowned self] in ends($0) }
    }

    var current: Channel { source.main.source?.channel ?? first }

    private func connection() -> Channel? {
        if first.kind == .file { return first }
        guard !destination.host.isGone, let incoming = destination.incoming else { return nil }
        if incoming.status == .setup {
            incoming.accept()
            return first
        }
        guard incoming.status == .postcopyPaused else { return nil }
        let next = another()
        incoming.recover(over: next)
        return next
    }

    /// A process has ended itself: the other one finds the channel closed.
    private func ends(_ host: Host) {
        host.end()
        close(host === source.host ? .source : .destination)
    }

    /// The kernel closes the sockets of a process that is gone.
    func close(_ role: Role) {
        if role == .source { current.closeSource() } else { current.closeDestination() }
    }
}
