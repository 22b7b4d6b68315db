/// What is known of a migration from outside its logs, which say neither the capability nor the mode.
import MigrationTrace

/// nil is what must be inferred from the logs.
package struct Circumstances: Hashable, Sendable {
    /// Whether switchover-ack is on.
    package var sourceCapability: Bool?
    package var destinationCapability: Bool?
    package var sourceMode: Handshake.Mode?
    package var destinationMode: Handshake.Mode?
    /// Section idstrs by the side's device names.
    package var sourceIdstrs: [String: String] = [:]
    package var destinationIdstrs: [String: String] = [:]
    /// The section idstr, on both sides, of a user of switchover-ack that is no VFIO device. Its requests and markers have no lines of
    /// their own.
    package var requester: String?
    /// In per-device mode the source's core itself tells the destination who is to answer, by a command that no release has (the variant
    /// `request-message`). No device writes a marker: the end of the section that leaves no initial bytes stands for it.
    package var announcesRequests = false
    /// The channel is a pipe: what the destination says never reaches the source.
    package var isOneWay = false
    /// The destination's process was killed, which no log tells.
    package var destinationWasKilled = false
    /// What may still happen by itself, in words: a schedule step not yet done, a script rule not yet fired. While it is set no
    /// wait is forever.
    package var armed: String?
    /// The source's process is gone, and with it its guest; nil: it lives, or nothing is known.
    package var sourceProcess: SourceProcessEnd?

    /// A source device's script re-initialises it forever, whenever its initial bytes were read.
    package var reinitsForever = false
    /// The source decides only when less is pending than the threshold (up to 10.0), not when as much is (10.1 and later); nil: not known.
    package var decidesBelowThreshold: Bool?
    /// The source switches over without the status `device`, unless it pauses before (8.1 to 9.2).
    package var doesWithoutDevice = false

    package init() {}

    /// What the header of a recorded migration says: capabilities, the legacy property, else the mode that was probed.
    package init(_ header: TraceHeader) {
        sourceCapability = header.source.switchoverAck
        destinationCapability = header.destination.switchoverAck
        sourceMode = header.source.ackMode
        destinationMode = header.destination.ackMode
        sourceIdstrs = header.source.idstrs
        destinationIdstrs = header.destination.idstrs
        // Of several the same in every run.
        requester = header.source.idstrs.values.filter { !isOfVFIO($0) }.min()
        isOneWay = header.source.has(.oneWay)
        destinationWasKilled = header.destination.has(.killed)
        armed = header.armed.isEmpty ? nil : header.armed
        reinitsForever = header.source.devices.contains { device in device.script.contains(where: reinitialisesForever) }
        // Without what is known to be wrong with it a generation is as old as with it.
        let generation = header.source.generation?.split(separator: "-corrected").first.map(String.init)
        decidesBelowThreshold = generation.map { ["8.1", "10.0"].contains($0) }
        doesWithoutDevice = generation == "8.1"
        announcesRequests = Self.announcesRequests(generation: generation)
        sourceProcess = SourceProcessEnd(rawValue: header.outcome)
    }

    /// By the name of the source's generation, as a trace's header has it; also of its corrected form.
    package static func announcesRequests(generation: String?) -> Bool { generation?.hasPrefix("request-message") == true }
}

extension Setting {
    /// Of a source that sends into a pipe.
    package static let oneWay = Setting("channel", "pipe")
    /// Of a side whose process was killed.
    package static let killed = Setting("process", "killed")
}

extension TraceSide {
    fileprivate func has(_ setting: Setting) -> Bool { properties.contains(setting) }

    fileprivate var generation: String? { features.last { $0.name == "generation" }?.value }

    fileprivate var switchoverAck: Bool? { capabilities.last { $0.name == "switchover-ack" }.flatMap { onOff($0.value) } }

    fileprivate var ackMode: Handshake.Mode? {
        if let property = properties.last(where: { $0.name.hasSuffix("switchover-ack-legacy") }), let isLegacy = onOff(property.value) {
            return isLegacy ? .legacy : .perDevice
        }
        return features.last { $0.name == "mode" }.flatMap { Handshake.Mode(rawValue: $0.value) }
    }

    fileprivate var idstrs: [String: String] {
        Dictionary(devices.filter { !$0.idstr.isEmpty }.map { ($0.name, $0.idstr) }) { first, _ in first }
    }
}

/// Whether the idstr is that of a VFIO device's section.
func isOfVFIO(_ idstr: String) -> Bool { idstr.hasSuffix("/vfio") }

/// Whether a line of a device script is a REINIT at a query that nothing limits to some of its occurrences.
package func reinitialisesForever(_ line: String) -> Bool {
    let words = line.split(separator: " ")
    return words.count >= 5 && words[0] == "on" && words[1] == "query" && words[3] == "do" && words[4] == "reinit"
}

private func onOff(_ value: String) -> Bool? { value == "on" ? true : value == "off" ? false : nil }
