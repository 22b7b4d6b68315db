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
    /// What else the command line sets that both sides must have alike.
    package private(set) var settings = MigrationSettings()
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
        var words = line.split(separator: " ").filter { $0 != "\\" }
        // JSON may have spaces.
        if words.first == "-global", line.contains("{") {
            words = ["-global", Substring(line.drop { $0 != "{" }.filter { $0 != " " && $0 != "\\" })]
        }
        for word in words {
            switch option {
            case "-machine", "-M":
                let name = word.prefix { $0 != "," }
                machine = String((name.hasPrefix("type=") ? name.dropFirst(5) : name).prefix(64))
            case "-global": append(global: word)
            default: settings.set(option: option, word)
            }
            option = word.hasPrefix("-") ? String(word.prefix(16)) : ""
        }
    }

    /// A value of `-global`: `migration.NAME=VALUE`, `driver=migration,property=NAME,value=VALUE`, or the same as JSON.
    private mutating func append(global word: Substring) {
        var fields: [Substring: Substring] = [:]
        if word.contains("property") {
            for part in word.split(whereSeparator: { ",{}'".contains($0) }) {
                let pair = part.split(maxSplits: 1) { $0 == "=" || $0 == ":" }.map { $0.filter { $0 != "\"" } }
                if pair.count == 2, fields.count < 8 { fields[Substring(pair[0])] = Substring(pair[1]) }
            }
        } else {
            let parts = word.split(separator: "=", maxSplits: 1)
            let names = parts[0].split(separator: ".", maxSplits: 1)
            if parts.count == 2, names.count == 2 { fields = ["driver": names[0], "property": names[1], "value": parts[1]] }
        }
        guard fields["driver"] == "migration", let value = fields["value"].flatMap(Self.onOff) else { return }
        settings.set(global: fields["property"] ?? "", value)
        switch fields["property"] {
        case "switchover-ack-legacy": legacyProperty = value
        case "x-switchover-ack": capability = value
        default: break
        }
    }

    /// As QEMU reads a property of type bool.
    private static func onOff(_ value: Substring) -> Bool? {
        switch value {
        case "on", "yes", "true", "y": true
        case "off", "no", "false", "n": false
        default: nil
        }
    }
}
