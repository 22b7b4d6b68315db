/// What an engine's guest has in addition to memory and VFIO devices, one module each. The QEMUs that are started here have none of them.

package struct EngineModules: Hashable, Sendable {
    /// A user of switchover-ack that is no VFIO device.
    package struct Requester: Hashable, Sendable {
        /// The idstr of the requester's section, on both sides.
        package static let idstr = "requester"

        /// The name that approvals log; nil: the section's idstr.
        package var name: String?
        /// ACKs requested in the first query.
        package var atSetup = 1
        /// The source gate whose opening makes the next exact query request one more ACK.
        package var againWhenOpen: String?
        /// ACKs requested in the final query, after the source has decided.
        package var inFinalQuery = 0
        /// PART sections sent between a request and its markers.
        package var markerDelay = 0

        package init(name: String? = nil) { self.name = name }
    }

    /// A dirty bitmap of a disk.
    package var hasDirtyBitmap = false
    /// Storage attributes of the pages, as an s390 guest has them.
    package var hasStorageAttributes = false
    /// A balloon that hints which pages are free.
    package var hintsFreePages = false
    /// Missing pages that the guest touches during postcopy, one after the other.
    package var faults = 0
    /// nil: VFIO devices alone use switchover-ack.
    package var requester: Requester?

    package init() {}

    package var isEmpty: Bool { self == EngineModules() }
}
