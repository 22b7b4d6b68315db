/// Windows of 100 ms in which RAM used up what the link may carry, so that a device with initial bytes sent none: RAM comes first.
import MigrationTrace

struct StarvedWindows: Sendable {
    private(set) var count = 0
    /// Up to now, without one in between that was not starved.
    private(set) var inARow = 0
    /// By device name, the initial bytes that the last query found.
    private var initial: [String: UInt64] = [:]
    /// Section idstrs of the modules that wrote a section in this window.
    private var written: Set<String> = []

    mutating func reported(_ device: String, initial bytes: UInt64) {
        if initial[device] != nil || initial.count < SourceDevices.most { initial[device] = bytes }
    }

    mutating func wroteSection(of idstr: String) { if written.count < SourceDevices.most { written.insert(idstr) } }

    mutating func windowEnded(_ names: DeviceNames) {
        // A device that never wrote a section has no idstr yet.
        let isStarved = written.contains("ram") && initial.contains { $0.value > 0 && !written.contains(names.idstr(of: $0.key)) }
        count += isStarved ? 1 : 0
        inARow = isStarved ? inARow + 1 : 0
        written = []
    }
}

extension StarvedWindows {
    /// Counts the windows since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: StarvedWindows) {
        count += (count - before.count) * times
        inARow += (inARow - before.inARow) * times
    }
}
