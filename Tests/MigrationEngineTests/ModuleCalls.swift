/// Drives a module by hand through the contract, as an engine would, one call at a time.
import MigrationStream
import MigrationTrace
import SwitchoverProtocol

@testable import MigrationEngine

/// What a host logged.
final class ModuleLog: HostLog {
    var events: [Event] = []
    func append(_ event: Event) { events.append(event) }
    func appendDevice(_ event: Event) { events.append(event) }
}

extension Generation {
    static let likeTenZero = Generation(name: "10.0", features: [])
    static let likeElevenZero = Generation(name: "11.0", features: [.decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .failing])
    static let likeElevenOne = Generation(
        name: "11.1",
        features: [.perDeviceAcks, .queryPending, .finalQuery, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .failing])
    static let likeV2 = Generation(name: "v2", features: likeElevenOne.features.union([.finalReturnsEarly, .finalSkipsStatistics]))
    static let withRequestMessage = Generation(name: "message", features: likeElevenOne.features.union(.requestMessage))
}

/// A host with modules, each call to which is made whole.
struct Bench {
    let host: Host
    let log = ModuleLog()

    init(
        _ generation: Generation = .likeElevenOne, mode: AckMode = .perDevice,
        _ capabilities: Set<Capability> = [.returnPath, .switchoverAck],
        modules: [any SaveVMHandlers] = []
    ) {
        var settings = HostSettings(generation: generation, mode: mode)
        settings.capabilities = capabilities
        host = Host(settings, log: log)
        host.begin(in: .running)
        for module in modules { host.register(module) }
    }

    /// What the call returns and writes.
    func call(
        _ body: (inout Call) throws(ModuleError) -> MigrationEngine.Progress
    ) throws(ModuleError) -> (result: Int64, payload: [SectionRecord]) {
        var call = Call(host: host, stage: 0)
        while true {
            if case .done(let result) = try body(&call) { return (result, call.payload) }
            call.stage += 1
        }
    }

    func setUp(_ module: any SaveVMHandlers) throws(ModuleError) -> [SectionRecord] {
        try call { call throws(ModuleError) in try module.saveSetup(&call) }.payload
    }

    func query(_ module: any SaveVMHandlers, exact: Bool = false, final: Bool = false) throws(ModuleError) -> PendingBytes {
        var pending = PendingBytes()
        _ = try call { call throws(ModuleError) in try module.saveQueryPending(&pending, exact: exact, final: final, &call) }
        return pending
    }

    func iterate(_ module: any SaveVMHandlers, budget: Int = .max) throws(ModuleError) -> (result: Int64, payload: [SectionRecord]) {
        try call { call throws(ModuleError) in try module.saveLiveIterate(budget: budget, &call) }
    }

    func complete(_ module: any SaveVMHandlers) throws(ModuleError) -> [SectionRecord] {
        try call { call throws(ModuleError) in try module.saveComplete(&call) }.payload
    }

    func save(_ module: any SaveVMHandlers) throws(ModuleError) -> [SectionRecord] {
        try call { call throws(ModuleError) in try module.saveState(&call) }.payload
    }

    func startLoad(_ module: any SaveVMHandlers) throws(ModuleError) {
        _ = try call { call throws(ModuleError) in try module.loadSetup(&call) }
    }

    func load(_ records: [SectionRecord], into module: any SaveVMHandlers) throws(ModuleError) {
        for record in records { _ = try call { call throws(ModuleError) in try module.loadState(record, &call) } }
    }
}

extension [SectionRecord] {
    var wireSize: Int { reduce(0) { $0 + $1.wireSize } }
}

/// SplitMix64: the same seed gives the same guest.
struct ModuleRandom: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
