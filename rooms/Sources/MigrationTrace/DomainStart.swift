/// What a libvirt per-domain log says of a QEMU process before and after what that process wrote: banner, command line, end.
///
///     2026-01-01 10:00:00.000+0000: starting up libvirt version: 11.3.0, qemu version: 11.1.3, ...
///     LC_ALL=C \
///     /usr/bin/qemu-system-x86_64 \
///     -machine pc-q35-11.0,usb=off \
///     -global migration.switchover-ack-legacy=on
///     ...
///     2026-01-01 10:00:09.000+0000: shutting down, reason=migrated
package struct DomainStart: Hashable, Sendable {
    /// Of the banner.
    package let line: Int
    /// Among the starts of the log, from 1.
    package let number: Int
    /// As `-machine` or `-M` has it, without its options.
    package private(set) var machine: String?
    /// `-global migration.switchover-ack-legacy=`, the last one, as QEMU takes it.
    package private(set) var legacyProperty: Bool?
    /// `-global migration.x-switchover-ack=`: the capability, where it is not set over QMP.
    package private(set) var capability: Bool?
    /// What libvirt says of the end; nil when it says nothing.
    package private(set) var end: String?

    private var option = ""

    init(line: Int, number: Int) {
        self.line = line
        self.number = number
    }

    /// The mode that the command line stands for: the property, else the machine type, as every version up to 11.0 is legacy on all
    /// binaries that have it (11.1.3), and later ones are not. nil where only the binary knows, as with a type without a version.
    package var isLegacy: Bool? { legacyProperty ?? release.map { $0 <= (11, 0) } }

    /// The version in the name of the machine type.
    private var release: (Int, Int)? {
        let name = machine ?? ""
        let digits = name.drop { $0 != "-" }.split(separator: "-").last?.split(separator: ".", omittingEmptySubsequences: false) ?? []
        guard digits.count == 2, let major = Int(digits[0]), let minor = Int(digits[1]) else { return nil }
        return (major, minor)
    }

    /// A line of the command line, or of libvirt's own.
    mutating func take(_ line: String, isBanner: Bool) {
        if isBanner {
            // Behind the time and a colon.
            let text = line.dropFirst(30)
            if text.hasPrefix("shutting down") { end = String(text.prefix(80)) }
            return
        }
        for word in line.split(separator: " ") where word != "\\" {
            switch option {
            case "-machine", "-M":
                let name = word.prefix { $0 != "," }
                machine = String((name.hasPrefix("type=") ? name.dropFirst(5) : name).prefix(64))
            case "-global": take(global: word)
            default: break
            }
            option = word.hasPrefix("-") ? String(word.prefix(16)) : ""
        }
    }

    private mutating func take(global word: Substring) {
        let parts = word.split(separator: "=", maxSplits: 1)
        guard parts.count == 2, let value = ["on": true, "off": false][parts[1]] else { return }
        switch parts[0] {
        case "migration.switchover-ack-legacy": legacyProperty = value
        case "migration.x-switchover-ack": capability = value
        default: break
        }
    }
}
