/// What the generation of a side does, as far as verifying a migration depends on it.
///
/// Traits are probed of a binary, or follow from the features of an engine's generation; a trace keeps them in its header, and the verifier
/// reads them there. A version or the name of a generation only labels a side, since distributions backport and builds between two releases
/// share a version number.
package struct SideTraits: Hashable, Sendable {
    /// At how many pending bytes a source decides to switch over.
    package enum DecisionLimit: String, CaseIterable, Hashable, Sendable {
        /// Only when less is pending than the threshold (up to 10.0).
        case belowThreshold = "below-threshold"
        /// Also when as much is pending as the threshold (since 10.1).
        case atThreshold = "at-threshold"
    }

    /// The newest status that a side has. It uses that one and those before it, and none that came later.
    package enum NewestStatus: String, CaseIterable, Hashable, Sendable, Comparable {
        /// None of the others (up to 9.0).
        case device
        /// A source that recovers a postcopy sets it before `postcopy-recover` (since 9.1).
        case postcopyRecoverSetup = "postcopy-recover-setup"
        /// A source sets it until the package of a postcopy is loaded (since 10.2).
        case postcopyDevice = "postcopy-device"
        /// A source sets it before `failed` (since 11.0).
        case failing

        package static func < (a: NewestStatus, b: NewestStatus) -> Bool { allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)! }
    }

    // A trait is nil where nothing is known of it.

    package var decision: DecisionLimit?
    /// True if every switchover passes through the status `device` (since 10.0); false if only one that pauses does.
    package var switchesInDevice: Bool?
    /// True if the core of the source tells the destination which devices are to answer, by a command that no release has. No device then
    /// writes a marker: the end of the section that leaves no initial bytes stands for it.
    package var announcesRequests: Bool?
    /// The mode that was measured on the machine type. A property of the side that sets the mode outweighs this trait.
    package var ackMode: SwitchoverAckMode?
    package var newestStatus: NewestStatus?

    package init() {}

    package init(
        decision: DecisionLimit?, switchesInDevice: Bool?, announcesRequests: Bool?, ackMode: SwitchoverAckMode?,
        newestStatus: NewestStatus?
    ) {
        self.decision = decision
        self.switchesInDevice = switchesInDevice
        self.announcesRequests = announcesRequests
        self.ackMode = ackMode
        self.newestStatus = newestStatus
    }
}

/// Traits as the header of a trace has them: a name and a word.
extension SideTraits {
    enum Name: String, CaseIterable {
        case decision
        case switchesInDevice = "switches-in-device"
        case announcesRequests = "announces-requests"
        case ackMode = "ack-mode"
        case newestStatus = "newest-status"

        /// The words that the trait can have.
        var values: [String] {
            switch self {
            case .decision: DecisionLimit.allCases.map(\.rawValue)
            case .switchesInDevice, .announcesRequests: ["yes", "no"]
            case .ackMode: SwitchoverAckMode.allCases.map(\.rawValue)
            case .newestStatus: NewestStatus.allCases.map(\.rawValue)
            }
        }
    }

    /// The word of a trait; nil where nothing is known of it. A word that the trait cannot have is stored as nil.
    subscript(name: Name) -> String? {
        get {
            switch name {
            case .decision: decision?.rawValue
            case .switchesInDevice: switchesInDevice.map(Self.word)
            case .announcesRequests: announcesRequests.map(Self.word)
            case .ackMode: ackMode?.rawValue
            case .newestStatus: newestStatus?.rawValue
            }
        }
        set {
            switch name {
            case .decision: decision = newValue.flatMap { DecisionLimit(rawValue: $0) }
            case .switchesInDevice: switchesInDevice = newValue.flatMap(Self.flag)
            case .announcesRequests: announcesRequests = newValue.flatMap(Self.flag)
            case .ackMode: ackMode = newValue.flatMap { SwitchoverAckMode(rawValue: $0) }
            case .newestStatus: newestStatus = newValue.flatMap { NewestStatus(rawValue: $0) }
            }
        }
    }

    private static func word(_ flag: Bool) -> String { flag ? "yes" : "no" }

    private static func flag(_ word: String) -> Bool? {
        switch word {
        case "yes": true
        case "no": false
        default: nil
        }
    }
}
