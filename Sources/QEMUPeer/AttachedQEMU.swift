/// A QEMU that somebody else started, configures, migrates and ends: its monitor is asked, and nothing else is done to it.
import MigrationTrace
import Plan

package struct AttachedQEMU: Sendable {
    private let monitor: QMPConnection
    /// `11.1.3 (Debian 1:11.1.3+dfsg-1)`
    package let version: String
    /// Of the migration, by name.
    package let capabilities: [String: Bool]
    /// Events that judging needs, that the binary has, and that are not traced.
    package let untraced: [String]

    /// Connects and asks. Throws `QMPError`.
    package init(_ address: QMPAddress, deadline: Deadline) async throws {
        monitor = try await address.connect(deadline: deadline)
        let answer = try await monitor.execute("query-version", deadline: deadline)
        let number = ["major", "minor", "micro"].map { "\(answer["qemu"]?[$0]?.integer ?? -1)" }.joined(separator: ".")
        let package = answer["package"]?.string ?? ""
        version = package.isEmpty ? number : "\(number) (\(package))"
        let all = try await monitor.execute("query-migrate-capabilities", deadline: deadline).array ?? []
        capabilities = Dictionary(
            all.compactMap { one in
                guard let name = one["capability"]?.string, case .bool(let state)? = one["state"] else { return nil }
                return (name, state)
            }, uniquingKeysWith: { first, _ in first })
        let events = try await monitor.execute("trace-event-get-state", ["name": "*"], deadline: deadline).array ?? []
        let disabled = Set(events.filter { $0["state"]?.string == "disabled" }.compactMap { $0["name"]?.string })
        untraced = allowedTraceEvents.filter(disabled.contains)
    }

    /// Switches trace events on, or off again.
    package func trace(_ names: [String], isOn: Bool) async throws {
        for name in names {
            try await monitor.execute("trace-event-set-state", ["name": .string(name), "enable": .bool(isOn)])
        }
    }

    /// What the source tells of its last migration, in milliseconds; nil for what it does not tell.
    package func times() async throws -> (total: Int64?, downtime: Int64?, setup: Int64?) {
        let answer = try await monitor.execute("query-migrate")
        return (answer["total-time"]?.integer, answer["downtime"]?.integer, answer["setup-time"]?.integer)
    }
}
