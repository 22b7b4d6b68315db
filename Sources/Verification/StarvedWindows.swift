/// Windows of 100 ms in which RAM used up what the link may carry, so that a device with initial bytes sent none: RAM comes first.
import MigrationTrace

struct StarvedWindows: Sendable {
    private(set) var count = 0
    /// Up to now, without one in between that was not starved.
    private(set) var inARow = 0
    /// The initial bytes of each device that the last query found.
    private var devices: [(name: String, initial: UInt64)] = []
    /// The modules by section idstr, and whether each wrote a section in this window. They are few: a search is faster than a hash.
    private var modules: [(idstr: String, hasWritten: Bool)] = []

    mutating func reported(_ device: String, initial bytes: UInt64) {
        if let index = devices.firstIndex(where: { $0.name == device }) {
            devices[index].initial = bytes
        } else if devices.count < SourceDevices.most {
            devices.append((device, bytes))
        }
    }

    mutating func wroteSection(of idstr: String) {
        if let index = modules.firstIndex(where: { $0.idstr == idstr }) {
            modules[index].hasWritten = true
        } else if modules.count < SourceDevices.most {
            modules.append((idstr, true))
        }
    }

    private func hasWritten(_ idstr: String) -> Bool { modules.contains { $0.hasWritten && $0.idstr == idstr } }

    mutating func windowEnded(_ names: DeviceNames) {
        // A device that never wrote a section has no idstr yet.
        let isStarved = hasWritten("ram") && devices.contains { $0.initial > 0 && !hasWritten(names.idstr(of: $0.name)) }
        count += isStarved ? 1 : 0
        inARow = isStarved ? inARow + 1 : 0
        for index in modules.indices { modules[index].hasWritten = false }
    }
}

extension StarvedWindows {
    /// Counts the windows since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: StarvedWindows) {
        count += (count - before.count) * times
        inARow += (inARow - before.inARow) * times
    }
}
