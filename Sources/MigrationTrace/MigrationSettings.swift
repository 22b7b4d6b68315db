/// What a side's migration was set to, as far as a log shows it: machine, memory and processors from the command line, capabilities and
/// parameters from commands and replies of the monitor. Where both sides must be set alike and are not, that is why a migration fails.

package struct MigrationSettings: Hashable, Sendable {
    /// By name, in QEMU's words, such as `multifd-channels`: `4`.
    package private(set) var values: [String: String] = [:]

    /// Capabilities that both sides must have alike (11.1). The others concern one side alone.
    private static let capabilities: Set<String> = [
        "multifd", "compress", "postcopy-ram", "postcopy-preempt", "x-colo", "mapped-ram", "dirty-bitmaps", "x-ignore-shared",
        "background-snapshot", "switchover-ack", "rdma-pin-all",
    ]
    /// Parameters likewise.
    private static let parameters = ["multifd-channels", "multifd-compression", "zero-page-detection"]
    /// Options of the command line likewise. The machine type is compared by itself.
    private static let options = ["-m": "memory", "-smp": "processors", "-cpu": "CPU model"]
    private static let longestValue = 120

    package init() {}

    mutating func set(_ name: String, _ value: String) { values[name] = String(value.prefix(Self.longestValue)) }

    /// Takes over what the other ones tell.
    package mutating func add(_ other: MigrationSettings) { values.merge(other.values) { $1 } }

    /// An option of the command line with its value.
    mutating func set(option: String, _ value: Substring) {
        if let name = Self.options[option] {
            set(name, String(option == "-m" && value.hasPrefix("size=") ? value.dropFirst(5) : value))
        }
        guard option == "-device" || option == "-blockdev" else { return }
        let fields = value.split(separator: ",")
        let id = fields.first { $0.hasPrefix("id=") }?.dropFirst(3)
        for size in ["logical_block_size=", "physical_block_size="] {
            guard let id, let field = fields.first(where: { $0.hasPrefix(size) }) else { continue }
            set("\(size.dropLast()) of \(id)", String(field.dropFirst(size.count)))
        }
    }

    /// A property of `-global migration.NAME=VALUE`: capabilities have the prefix `x-` there.
    mutating func set(global name: Substring, _ value: Bool) {
        let capability = name.hasPrefix("x-") && name != "x-colo" ? String(name.dropFirst(2)) : String(name)
        if Self.capabilities.contains(capability) { set(capability, value ? "on" : "off") }
    }

    /// Reads a command or reply of the monitor: `migrate-set-capabilities`, `query-migrate-capabilities`, `migrate-set-parameters`,
    /// `query-migrate-parameters`, and HMP's `migrate_set_capability` and `migrate_set_parameter`. Any other line tells nothing.
    mutating func read(_ line: UnsafeBufferPointer<UInt8>) {
        guard line.count < 16384, Self.isLikely(line) else { return }
        let text = String(decoding: line, as: UTF8.self)
        for (command, values) in [("migrate_set_capability ", Self.capabilities), ("migrate_set_parameter ", Set(Self.parameters))] {
            guard let place = text.firstRange(of: command) else { continue }
            let words = text[place.upperBound...].split(separator: " ").prefix(2)
            if words.count == 2, values.contains(String(words[0])) { set(String(words[0]), String(words[1])) }
        }
        // Each object of a capability has its name and its state, in any order.
        for object in text.split(separator: "{") {
            guard let name = Self.member("capability", object), Self.capabilities.contains(name), let state = Self.member("state", object)
            else { continue }
            set(name, state == "true" ? "on" : "off")
        }
        guard text.contains("migrate-set-parameters") || text.contains("\"return\"") else { return }
        for name in Self.parameters {
            if let value = Self.member(name, Substring(text)) { set(name, value) }
        }
    }

    /// A look at the bytes that costs little, since any line of a log may come.
    private static func isLikely(_ line: UnsafeBufferPointer<UInt8>) -> Bool {
        guard let start = line.baseAddress else { return false }
        for word in ["\"capability\"", "migrate_set_", "migrate-set-parameters", "\"multifd-channels\""] as [StaticString] {
            let length = word.utf8CodeUnitCount
            var place = 0
            while place + length <= line.count {
                if line[place] == word.utf8Start.pointee, equalBytes(start + place, word.utf8Start, length) { return true }
                place += 1
            }
        }
        return false
    }

    /// The value of the first member of this name: a text, a number or a truth value.
    private static func member(_ name: String, _ object: Substring) -> String? {
        guard let place = object.firstRange(of: "\"\(name)\"") else { return nil }
        let rest = object[place.upperBound...].drop { $0 == " " }
        guard rest.first == ":" else { return nil }
        let value = rest.dropFirst().drop { $0 == " " }
        if value.first == "\"" { return String(value.dropFirst().prefix { $0 != "\"" }) }
        let word = value.prefix { $0.isLetter || $0.isNumber || $0 == "-" }
        return word.isEmpty ? nil : String(word)
    }

    /// What both sides must have alike and do not, in words, in order.
    package func differences(atDestination other: MigrationSettings) -> [String] {
        values.keys.sorted().compactMap { name in
            guard let here = values[name], let there = other.values[name], here != there else { return nil }
            return "\(name) is \(here) at the source and \(there) at the destination"
        }
    }
}
