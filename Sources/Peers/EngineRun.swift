/// Drives a plan with both sides in this process, in virtual time.
import MigrationTrace

/// Why the engine cannot run a plan: something in it is nothing that the engine models. Nothing has run.
public struct EngineRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    public let description: String
    public init(_ description: String) { self.description = description }
}

/// Takes what the sides and their devices log, in each stream's order.
public protocol EngineLog: AnyObject {
    /// Another leg begins, from 0 on: what comes next is of its streams.
    func begin(leg: Int)
    func take(_ event: Event, from stream: StreamName)
    /// The proof that the leg will never end by itself; nil while it may. `armed` says what the schedule still has in store.
    func endlessProof(armed: String?) -> String?
}

/// A record for each leg that was driven. Throws `EngineRefusal` before anything runs, or `SideRefusal` as a QEMU does.
public func migrateInEngine(_ plan: MigrationPlan, seed: UInt64, log: some EngineLog) throws -> [MigrationRecord] {
    throw EngineRefusal("the engine is not there yet")
}
