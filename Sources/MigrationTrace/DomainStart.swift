/// What libvirt writes to a per-domain log about a QEMU process: the banner and the command line before the lines of the process, and its
/// end.
///
///     2026-01-01 10:00:00.000+0000: starting up libvirt version: 11.3.0, qemu version: 11.1.3, ...
///     LC_ALL=C \
///     /usr/bin/qemu-system-x86_64 \
///     -machine pc-q35-11.0,usb=off \
///     -global migration.switchover-ack-legacy=on
///     ...
///     2026-01-01 10:00:09.000+0000: shutting down, reason=migrated
package struct DomainStart: Hashable, Sendable {
    /// The line of the banner.
    package let line: Int
    /// The number of the start in the log, from 1.
    package let number: Int
    /// The machine type of `-machine` or `-M`, without options.
    package private(set) var machine: String?
    /// The last `-global migration.switchover-ack-legacy=`, which is the one that QEMU obeys.
    package private(set) var legacyProperty: Bool?
    /// `-global migration.x-switchover-ack=`: the capability, if it is not set over QMP.
    package private(set) var capability: Bool?
    /// libvirt's words about the end of the process; nil if it wrote none.
    package private(set) var end: String?

    private var option = ""

    init(line: Int, number: Int) {
        self.line = line
        self.number = number
    }

    /// True if the command line chooses legacy mode: by the property, or else by the version of the machine type, since 11.1.3 runs types
    /// up to 11.0 in legacy mode and later types in per-device mode. nil if only the binary knows, as for a type without a version.
    package var isLegacy: Bool? { legacyProperty ?? machine.flatMap(machineRelease).map { !([11, 0].lexicographicallyPrecedes($0)) } }

    /// Reads a line of the command line, or a banner of libvirt.
    mutating func append(_ line: String, isBanner: Bool) {
        if isBanner {
            // The text follows the time and a colon.
            let text = line.dropFirst(30)
            if text.hasPrefix("shutting down") { end = String(text.prefix(80)) }
            return
        }
        for word in line.split(separator: " ") where word != "\\" {
            switch option {
            case "-machine", "-M":
                let name = word.prefix { $0 != "," }
                machine = String((name.hasPrefix("type=") ? name.dropFirst(5) : name).prefix(64))
            case "-global": append(global: word)
            default: break
            }
            option = word.hasPrefix("-") ? String(word.prefix(16)) : ""
        }
    }

    private mutating func append(global word: Substring) {
        let parts = word.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let value = ["on": true, "off": false][parts[1]] else { return }
        switch parts[0] {
        case "migration.switchover-ack-legacy": legacyProperty = value
        case "migration.x-switchover-ack": capability = value
        default: break
        }
    }
}
