/// What a build of QEMU may lack, whatever its release: a minimal configuration leaves out devices, block drivers and capabilities.

package struct BuildParts: Hashable, Sendable, Codable {
    /// The names of `query-migrate-capabilities`.
    package var capabilities: [String]
    /// The types of devices that can be created.
    package var deviceTypes: [String]
    /// The drivers that `blockdev-add` takes.
    package var blockDrivers: [String]

    package init(capabilities: [String], deviceTypes: [String], blockDrivers: [String]) {
        self.capabilities = capabilities
        self.deviceTypes = deviceTypes
        self.blockDrivers = blockDrivers
    }

    /// The part that a plan needs and the build lacks, as the object of a sentence; nil if it lacks none. Abilities that no build leaves
    /// out are not asked for.
    package func missing(for ability: SideAbility) -> String? {
        switch ability {
        // A release without it refuses it in its own words, which is a cell's subject.
        case .capability("switchover-ack"): nil
        case .capability(let name): capabilities.contains(name) ? nil : "migration capability \(name)"
        case .filledMemory: deviceTypes.contains("loader") ? nil : "device loader"
        case .extraArguments(let arguments): missing(for: arguments)
        case .customFirmware, .deviceProperties, .guestModules, .parameter, .deviceCall, .channel, .command, .gateBoard, .halting, .killing,
            .jobs, .descriptorLimit, .memoryLimit, .guestMemoryReads:
            nil
        }
    }

    private func missing(for arguments: [String]) -> String? {
        for (option, value) in zip(arguments, arguments.dropFirst()) {
            let words = value.split(separator: ",").map(String.init)
            switch option {
            case "-device":
                if let type = words.first, !deviceTypes.contains(type) { return "device \(type)" }
            case "-blockdev":
                let driver = words.first { $0.hasPrefix("driver=") }?.dropFirst("driver=".count)
                if let driver, !blockDrivers.contains(String(driver)) { return "block driver \(driver)" }
            default: continue
            }
        }
        return nil
    }
}
