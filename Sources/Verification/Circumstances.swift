/// What is known of a migration from outside its logs, such as the capability and the mode, which no log tells.
import MigrationTrace

/// nil means that the logs must tell.
package struct Circumstances: Hashable, Sendable {
    /// True if switchover-ack is on.
    package var sourceCapability: Bool?
    package var destinationCapability: Bool?
    package var sourceMode: SwitchoverAckMode?
    package var destinationMode: SwitchoverAckMode?
    /// Section idstrs by the side's device names.
    package var sourceIdstrs: [String: String] = [:]
    package var destinationIdstrs: [String: String] = [:]
    /// The section idstr, on both sides, of a user of switchover-ack that is no VFIO device. The requests and markers of that user have no
    /// lines of their own.
    package var requester: String?
    /// The channel is a pipe: nothing that the destination sends reaches the source.
    package var isOneWay = false
    /// The destination's process was killed, which no log tells.
    package var destinationWasKilled = false
    /// What may still happen by itself, in words, such as a step of the schedule or a rule of a device script. While it is set, no wait is
    /// proved to last forever.
    package var armed: String?
    /// How the source's process ended, and its guest with it; nil if the process lives or nothing is known.
    package var sourceProcess: SourceProcessEnd?

    /// A script re-initialises a device of the source whenever its initial bytes have been read, without end.
    package var reinitsForever = false
    /// What the source's generation does, as far as the rules depend on it.
    package var sourceTraits = SideTraits()
    /// The logs are somebody else's, of a release that is not known.
    package var isForeign = false
    /// The logs are still written: pending bytes that fall may fall further.
    var isLive = false

    package init() {}

    /// What the header of a recorded migration says: capabilities, the legacy property or else the mode that was probed, and the traits of
    /// the source.
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
        sourceTraits = header.source.traits
        sourceProcess = SourceProcessEnd(rawValue: header.outcome)
    }

    /// In per-device mode the core of the source announces requests: see `SideTraits`.
    var announcesRequests: Bool { sourceTraits.announcesRequests == true }
    /// True if the source decides only when less is pending than the threshold, false if also when as much is; nil: not known.
    var decidesBelowThreshold: Bool? { sourceTraits.decision.map { $0 == .belowThreshold } }
    /// The source switches over without the status `device`, unless it pauses before.
    var doesWithoutDevice: Bool { sourceTraits.switchesInDevice == false }
}

extension Setting {
    /// Of a source that sends into a pipe.
    package static let oneWay = Setting("channel", "pipe")
    /// Of a side whose process was killed.
    package static let killed = Setting("process", "killed")
}

extension TraceSide {
    fileprivate func has(_ setting: Setting) -> Bool { properties.contains(setting) }

    fileprivate var switchoverAck: Bool? { capabilities.last { $0.name == "switchover-ack" }.flatMap { onOff($0.value) } }

    fileprivate var ackMode: SwitchoverAckMode? {
        if let property = properties.last(where: { $0.name.hasSuffix("switchover-ack-legacy") }), let isLegacy = onOff(property.value) {
            return isLegacy ? .legacy : .perDevice
        }
        return traits.ackMode
    }

    fileprivate var idstrs: [String: String] {
        Dictionary(devices.filter { !$0.idstr.isEmpty }.map { ($0.name, $0.idstr) }) { first, _ in first }
    }
}

/// Whether the idstr is that of a VFIO device's section.
func isOfVFIO(_ idstr: String) -> Bool { idstr.utf8.suffix(5).elementsEqual("/vfio".utf8) }

/// Whether a line of a device script is a REINIT at a query that nothing limits to some of its occurrences.
package func reinitialisesForever(_ line: String) -> Bool {
    let words = line.split(separator: " ")
    return words.count >= 5 && words[0] == "on" && words[1] == "query" && words[3] == "do" && words[4] == "reinit"
}

private func onOff(_ value: String) -> Bool? { value == "on" ? true : value == "off" ? false : nil }
