/// What an engine's guest has beside memory and VFIO devices, each as a module of its own. No QEMU that is started here has any of it.

package struct EngineModules: Hashable, Sendable {
    /// A user of switchover-ack that is no VFIO device.
    package struct Requester: Hashable, Sendable {
        /// Its section, on both sides.
        package static let idstr = "requester"

        /// What approvals call it; nil: its section's idstr.
        package var name: String?
        /// ACKs that it asks for in the first query.
        package var atSetup = 1
        /// It asks for another in the first exact query that finds this gate of the source open.
        package var againWhenOpen: String?
        /// ACKs that it asks for in the final query, when the source has decided.
        package var inFinalQuery = 0
        /// PARTs that go by between a request and its markers.
        package var markerDelay = 0

        package init(name: String? = nil) { self.name = name }
    }

    /// A bitmap of changed blocks of a disk.
    package var hasDirtyBitmap = false
    /// The attributes of its pages, as an s390 guest has them.
    package var hasStorageAttributes = false
    /// A balloon through which it says which pages it does not use.
    package var hintsFreePages = false
    /// Missing pages that it touches in postcopy, one after the other.
    package var faults = 0
    /// nil: VFIO devices alone use switchover-ack.
    package var requester: Requester?

    package init() {}

    package var isEmpty: Bool { self == EngineModules() }
}
