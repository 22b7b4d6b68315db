/// A release, or a posting of a series, as a set of independently dated features.

/// Behaviours that differ between releases. A set describes one side; `Feature.table` dates each member.
package struct Features: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Knows per-device mode: the source counts requests, and the destination answers each marker (v1, v2, 11.1).
    package static let perDeviceAcks = Features(rawValue: 1 << 0)
    /// One query reports stop-copy bytes apart, and the ledger is asked after the queries of a step whether the source may switch over (v1,
    /// in the form of 11.1: what v1 printed is not known).
    package static let queryPending = Features(rawValue: 1 << 1)
    /// A last query follows with the guest stopped, and its requests fail the migration (v2, 11.1; it stands for v1's requests at
    /// completion).
    package static let finalQuery = Features(rawValue: 1 << 2)
    /// Modules make requests through a separate handler, at set-up, exact query and completion (v1).
    package static let requestHandler = Features(rawValue: 1 << 3)
    /// An overflow of the counter of requests is an error (v1).
    package static let overflowError = Features(rawValue: 1 << 4)
    /// Modules report only their requests in the final query (v2).
    package static let finalReturnsEarly = Features(rawValue: 1 << 5)
    /// The final query leaves the statistics alone (v2).
    package static let finalSkipsStatistics = Features(rawValue: 1 << 6)
    /// Decides when as much is pending as the threshold, not only when less is (10.1).
    package static let decidesAtThreshold = Features(rawValue: 1 << 7)
    /// Exact queries are made in precopy only, the check for postcopy precedes the one for completion, a PART precedes postcopy, and there
    /// is one completion callback (10.1).
    package static let savesInOneCallback = Features(rawValue: 1 << 8)
    /// Status postcopy-device, and PING 0x42 (10.2).
    package static let postcopyDevice = Features(rawValue: 1 << 9)
    /// The return-path thread itself leaves postcopy-device, rather than a flag that the migration loop consumes (postcopy-device-v1).
    package static let threadLeavesPostcopyDevice = Features(rawValue: 1 << 10)
    /// Status failing; notifiers are numbered with postcopy start (11.0).
    package static let failing = Features(rawValue: 1 << 11)
    /// A core message REQUEST_SWITCHOVER_ACK tells the destination which section's requests to answer, in place of the module's marker (a
    /// variant that was discussed for the series, and never posted as code).
    package static let requestMessage = Features(rawValue: 1 << 12)
    /// Status postcopy-recover-setup, before the new connection is made (9.1).
    package static let postcopyRecoverSetup = Features(rawValue: 1 << 13)
    /// Every switchover passes through the status device; before, only a switchover that pauses did (10.0.13; not in 8.x).
    package static let switchoverInDevice = Features(rawValue: 1 << 14)
    /// x-colo is refused without return-path (11.0.0, 11.1.3; not by 10.0.13).
    package static let coloRequiresReturnPath = Features(rawValue: 1 << 15)
    /// `avail-switchover-bandwidth` keeps its fraction of a byte per millisecond (11.1.3; not in 10.0.13).
    package static let fractionalBandwidth = Features(rawValue: 1 << 16)
    /// Events and errors name a device by its `id=`, and not by the descriptor that it was given, `VFIO_FD100` (10.1.0; not 10.0.13).
    package static let namesDevicesByID = Features(rawValue: 1 << 17)
    /// The destination stores the text of a load error, and not its errno alone (10.2.0; not 10.1.0).
    package static let storesLoadErrors = Features(rawValue: 1 << 18)
    /// The source stores "Switchover is interrupted", and "Failed to save iterable device state: " before the error of a device (11.1.3,
    /// and assumed of the postings; not 11.0.0).
    package static let storesSwitchoverErrors = Features(rawValue: 1 << 19)

    // MARK: Known defects of releases, each of which can be switched off

    /// A surplus ACK takes the counter below 0, and the source may never switch over again (11.1.3).
    package static let endlessAfterUnderflow = Features(rawValue: 1 << 32)
    /// A REINIT after the last check goes unnoticed (11.1.3).
    package static let unguardedAfterLastCheck = Features(rawValue: 1 << 33)
    /// A device without P2P has no last check (11.1.3).
    package static let noCheckWithoutP2P = Features(rawValue: 1 << 34)
    /// An error of the return path is noticed only when its thread is joined at completion (10.0.13, 11.1.3).
    package static let returnPathErrorsUnwatched = Features(rawValue: 1 << 35)
    /// The destination starts its guest before it sends SHUT, so that a source whose channel breaks in between runs its guest, too
    /// (10.0.13, 11.1.3).
    package static let startsBeforeShut = Features(rawValue: 1 << 36)
    /// A loaded device that refuses to run is reset, and the migration completes without its state (10.0.13, 11.1.3).
    package static let resetsLoadedDevice = Features(rawValue: 1 << 37)
    /// migrate_cancel is executed when everything is sent and the destination may be completing (10.0.13, 11.1.3).
    package static let cancelsAfterHandOver = Features(rawValue: 1 << 38)
    /// ENOMSG in STOP_COPY ends the device's state early, without an error (10.0.13, 11.1.3).
    package static let endsStateAtENOMSG = Features(rawValue: 1 << 39)
    /// An error of the channel after the last page of postcopy fails the source, which then runs its guest, instead of pausing it (10.0.13,
    /// 11.1.3).
    package static let failsAtPostcopyEnd = Features(rawValue: 1 << 40)
    /// LISTEN without a RAM_DISCARD before it sets the postcopy phase back to discard, where RUN is refused (10.0.13, 11.1.3).
    package static let listenSetsBackToDiscard = Features(rawValue: 1 << 41)
    /// A migration to a file reads a return path from the file, which fails at once, and waits for messages of that path (10.0.13, 11.1.3).
    package static let readsReturnPathOfFile = Features(rawValue: 1 << 42)
    /// A migration through a pipe waits for a return path on which nothing ever arrives (10.0.13, 11.1.3).
    package static let readsReturnPathOfPipe = Features(rawValue: 1 << 43)
    /// A source that was cancelled while it connects opens its return path all the same, and no thread is left to shut it down (11.1.3).
    package static let opensReturnPathWhenCancelled = Features(rawValue: 1 << 44)
    /// A precopy query that fails counts as no initial bytes, so that the marker is sent before them (10.0.13, 11.1.3).
    package static let marksAfterFailedQuery = Features(rawValue: 1 << 45)
    /// A read that has nothing now counts as no initial bytes, so that the marker is sent before them (10.0.13, 11.1.3).
    package static let marksAfterENOMSG = Features(rawValue: 1 << 46)
    /// Estimates in postcopy count a stop-copy size that was sent with the switchover (11.1.3).
    package static let countsSentStopCopy = Features(rawValue: 1 << 47)
    /// A channel that breaks while a package is in flight fails the source, although PONG 0x42 may be in flight, and the destination's
    /// listen thread, although the package is loaded and 0x42 was sent: two guests, or none (assumed from 8.1 on; seen in no run).
    package static let failsWithPackageOnItsWay = Features(rawValue: 1 << 49)

    /// A source that was cancelled while it connects is `cancelled` at once, and connects all the same (10.0.13).
    package static let connectsThoughCancelled = Features(rawValue: 1 << 48)

    package static let quirks = Feature.table.reduce(into: Features()) { if $1.isQuirk { $0.formUnion($1.feature) } }
}

package struct Generation: Hashable, Sendable {
    /// The source of a generation's features.
    package enum Basis: String, Hashable, Sendable {
        /// A binary of the generation was run.
        case run
        /// The source of the generation was read.
        case source
        /// The thread of the posting was read.
        case posting
        /// Known by description alone.
        case description
        /// Nothing of the generation was checked: it has the features that others are known to have had by then.
        case none
    }

    /// `10.0`, `11.1`, `v1`, ...
    package var name: String
    package var features: Features
    package var basis: Basis
    /// What is wrong with it, beside the known defects of its release.
    package var mutations: Set<Mutation> = []

    package init(name: String, features: Features, basis: Basis = .source) {
        self.name = name
        self.features = features
        self.basis = basis
    }

    /// The generation of a name, which may be that of a corrected form; nil if there is none.
    package init?(named name: String) {
        guard let known = Self.all.lazy.flatMap({ [$0, $0.corrected] }).first(where: { $0.name == name }) else { return nil }
        self = known
    }

    /// True if a binary was run, or the source or the thread of the posting was read.
    package var isConfirmed: Bool { basis != .none && basis != .description }

    package func has(_ feature: Features) -> Bool { features.contains(feature) }

    /// True if this is wrong with it. Asked for each step of an engine, most of which have nothing wrong.
    package func isWrong(_ mutation: Mutation) -> Bool { !mutations.isEmpty && mutations.contains(mutation) }

    /// The generation without its known defects.
    package var corrected: Generation {
        Generation(name: name + "-corrected", features: features.subtracting(.quirks), basis: basis)
    }
}

// A release's number keeps its point apart.
// swift-format-ignore: AlwaysUseLowerCamelCase
extension Generation {
    /// A release, or a posting between two, with the features that the table has for its date.
    private init(_ release: Release, _ basis: Basis) {
        self.init(name: release.rawValue, features: Feature.features(of: release), basis: basis)
    }

    /// Unconfirmed: no version of it was run or read. It stands for all releases up to 9.2, so that it has cells with `file:` (8.2).
    package static let v8_1 = Generation(.v8_1, .none)
    /// 10.0.13 was run.
    package static let v10_0 = Generation(.v10_0, .run)
    /// 10.1.0 was run.
    package static let v10_1 = Generation(.v10_1, .run)
    /// 10.2.0 was run.
    package static let v10_2 = Generation(.v10_2, .run)
    /// 11.0.0 was run.
    package static let v11_0 = Generation(.v11_0, .run)
    /// First posting of the per-device series (2026-05-05), on top of 11.0.
    package static let v1 = Generation(.v1, .posting)
    /// Second posting (2026-06-02).
    package static let v2 = Generation(.v2, .posting)
    /// 11.1.3 was run.
    package static let v11_1 = Generation(.v11_1, .run)
    /// 10.1 with postcopy-device in its first form. What it stored is not known; it has the form of 10.2, for which it was posted.
    package static let postcopyDeviceV1 = Generation(
        name: "postcopy-device-v1", features: v10_1.features.union([.postcopyDevice, .threadLeavesPostcopyDevice, .storesLoadErrors]),
        basis: .description)
    /// 11.1 with the core message that was discussed for the series.
    package static let requestMessage = Generation(
        name: "request-message", features: v11_1.features.union(.requestMessage), basis: .description)

    /// Oldest first, variants last.
    package static let all = [v8_1, v10_0, v10_1, v10_2, v11_0, v1, v2, v11_1, postcopyDeviceV1, requestMessage]
}
