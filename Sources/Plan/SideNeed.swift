/// What a plan needs of its sides, and what becomes of a plan whose side lacks it.

/// Something that not every side can do.
package enum SideAbility: Hashable, Sendable {
    /// Runs a guest with another firmware than the halting one.
    case customFirmware
    /// Starts the guest with memory that is filled from a file.
    case filledMemory
    /// Takes these arguments of QEMU's command line.
    case extraArguments([String])
    /// Sets properties of QEMU's devices.
    case deviceProperties
    /// Gives the guest modules beside memory and VFIO devices.
    case guestModules
    /// Has the migration capability.
    case capability(String)
    /// Takes the value for a migration parameter.
    case parameter(String, JSONValue)
    /// Makes the device call, which a script's rule is on.
    case deviceCall(String, rule: String)
    /// Migrates over the channel.
    case channel(MigrationLeg.Channel)
    /// Takes the QMP command.
    case command(String)
    /// Has a board with gates and the progress of its devices.
    case gateBoard
    /// Can be stopped where it stands, and let go on.
    case halting
    /// Can be ended as a crash does.
    case killing
    /// Runs jobs.
    case jobs
    /// Has a limit of open descriptors that can be lowered while it runs.
    case descriptorLimit
    /// Has a limit of memory that can be lowered while it runs.
    case memoryLimit
    /// Lets the guest's memory be read while it runs.
    case guestMemoryReads
}

/// An ability that a plan needs of one of its sides.
package struct SideNeed: Hashable, Sendable {
    /// The side: 0 is the plan's source, and 1 and up are the destinations of its legs.
    package let process: Int
    package let ability: SideAbility
    /// The step that needs the ability; nil: the side's configuration or a channel does.
    package let step: ScheduleStep?
}

extension SideNeed: CustomStringConvertible {
    /// What the plan asks for, as the object of a sentence.
    package var description: String {
        switch ability {
        case .customFirmware: "a guest with firmware of its own"
        case .filledMemory: "memory that is filled from a file"
        case .extraArguments(let arguments): "QEMU's own arguments \(arguments.joined(separator: " "))"
        case .deviceProperties: "properties of QEMU's devices"
        case .guestModules: "modules beside memory and VFIO devices"
        case .capability(let name): "capability \(name)"
        case .parameter(let name, _): "parameter \(name)"
        case .deviceCall(_, let rule): "the calls of '\(rule)'"
        case .channel(let channel): channel.description
        case .command(let name): "command \(name)"
        case .gateBoard, .halting, .killing, .jobs, .descriptorLimit, .memoryLimit, .guestMemoryReads:
            step.map { "'\($0)'" } ?? "\(ability)"
        }
    }
}

extension MigrationLeg.Channel: CustomStringConvertible {
    package var description: String {
        switch self {
        case .tcp: "a TCP connection"
        case .relayed: "a relayed TCP connection"
        case .file: "a file"
        case .pipe: "a pipe"
        case .snapshot: "a snapshot"
        }
    }
}

/// A plan needs an ability that one of its sides lacks: the cell is unavailable, and nothing has run.
package struct UnmetNeed: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason, as reports count it.
    package let description: String

    package init(_ description: String) { self.description = description }
}

extension MigrationPlan {
    /// All needs: those of each side's configuration, and then those of each leg's channel and steps.
    package var needs: [SideNeed] {
        var needs: [SideNeed] = []
        for (process, configuration) in sides.enumerated() {
            needs += configuration.abilities.map { SideNeed(process: process, ability: $0, step: nil) }
        }
        for (index, leg) in legs.enumerated() {
            let roles = (source: sourceProcess(ofLeg: index), destination: index + 1)
            needs += [roles.source, roles.destination].map { SideNeed(process: $0, ability: .channel(leg.channel), step: nil) }
            for step in leg.steps {
                guard let need = step.need else { continue }
                let process = need.role == .source ? roles.source : roles.destination
                needs.append(SideNeed(process: process, ability: need.ability, step: step))
            }
        }
        return needs
    }

    /// What the plan needs of one side: 0 is the source, and 1 and up are the destinations of the legs.
    package func needs(of process: Int) -> [SideNeed] { needs.filter { $0.process == process } }

    /// The first need that its side does not meet, by the side's own account of its `obstacle`.
    package func unmetNeed(_ obstacle: (SideConfiguration, SideNeed) -> String?) -> UnmetNeed? {
        let sides = sides
        for need in needs { if let reason = obstacle(sides[need.process], need) { return UnmetNeed(reason) } }
        return nil
    }

    private func sourceProcess(ofLeg index: Int) -> Int { index == 0 || legs[index].origin == .source ? 0 : index }
}

extension SideConfiguration {
    /// What the configuration needs of its side.
    fileprivate var abilities: [SideAbility] {
        var abilities: [SideAbility] = []
        if firmware != .halting { abilities.append(.customFirmware) }
        if filledMiB > 0 { abilities.append(.filledMemory) }
        if !extraArguments.isEmpty { abilities.append(.extraArguments(extraArguments)) }
        if !deviceProperties.isEmpty { abilities.append(.deviceProperties) }
        if !modules.isEmpty { abilities.append(.guestModules) }
        abilities += capabilities.filter(\.value).keys.sorted().map { .capability($0) }
        abilities += parameters.sorted { $0.key < $1.key }.map { .parameter($0.key, $0.value) }
        for script in devices.compactMap(\.script) {
            abilities += script.calls.sorted().map { call in
                let rule = script.text.split(separator: "\n").first { $0.contains("call \(call)") }
                return .deviceCall(call, rule: rule.map(String.init) ?? "call \(call)")
            }
        }
        return abilities
    }
}
