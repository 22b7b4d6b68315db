/// What a release, or a posting of a series, does: a set of independently dated features.

/// Behaviours that differ between releases. A set says what one side does.
package struct Features: OptionSet, Hashable, Sendable {
    package let rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Knows per-device mode: the source counts what is requested, the destination answers each marker (v1, v2, 11.1).
    package static let perDeviceAcks = Features(rawValue: 1 << 0)
    /// One query that tells stop-copy bytes apart; the right to switch over is asked for after the queries of a step (v2, 11.1).
    package static let queryPending = Features(rawValue: 1 << 1)
    /// A last query with the guest stopped, whose requests fail the migration (v2, 11.1).
    package static let finalQuery = Features(rawValue: 1 << 2)
    /// Requests are made through a handler of their own, at set-up, exact query and completion (v1).
    package static let requestHandler = Features(rawValue: 1 << 3)
    /// A counter of requests that would pass its range is an error (v1).
    package static let overflowError = Features(rawValue: 1 << 4)
    /// Modules return from the final query with nothing but their requests (v2).
    package static let finalReturnsEarly = Features(rawValue: 1 << 5)
    /// The final query leaves the statistics alone (v2).
    package static let finalSkipsStatistics = Features(rawValue: 1 << 6)
    /// Decides when as much is pending as the threshold, not only when less is (10.1).
    package static let decidesAtThreshold = Features(rawValue: 1 << 7)
    /// Exact queries only in precopy; the test for postcopy before that for completion; a PART before postcopy; one completion callback (10.1).
    package static let savesInOneCallback = Features(rawValue: 1 << 8)
    /// Status postcopy-device, and PING 0x42 (10.2).
    package static let postcopyDevice = Features(rawValue: 1 << 9)
    /// The return-path thread itself leaves postcopy-device, rather than a flag that the migration loop consumes (postcopy-device-v1).
    package static let threadLeavesPostcopyDevice = Features(rawValue: 1 << 10)
    /// Status failing; notifiers are numbered with postcopy start (11.0).
    package static let failing = Features(rawValue: 1 << 11)
    /// A core message REQUEST_SWITCHOVER_ACK tells the destination who is to answer, in place of a module's own marker (a variant discussed
    /// for the series, never posted as code).
    package static let requestMessage = Features(rawValue: 1 << 12)

    // MARK: Known wrongs of releases, each of which can be switched off

    /// A surplus ACK takes the counter below 0, and the source never may switch over again (11.1.3).
    package static let endlessAfterUnderflow = Features(rawValue: 1 << 32)
    /// What a device re-initialises behind the last check goes unnoticed (11.1.3).
    package static let unguardedAfterLastCheck = Features(rawValue: 1 << 33)
    /// A device without P2P has no last check (11.1.3).
    package static let noCheckWithoutP2P = Features(rawValue: 1 << 34)
    /// An error of the return path is looked at only when its thread is joined at completion (10.0.13, 11.1.3).
    package static let returnPathErrorsUnwatched = Features(rawValue: 1 << 35)
    /// The destination starts its guest before it says SHUT, so that a source whose channel breaks in between runs its guest, too (10.0.13, 11.1.3).
    package static let startsBeforeShut = Features(rawValue: 1 << 36)
    /// A loaded device that refuses to run is reset, and the migration completes without its state (10.0.13, 11.1.3).
    package static let resetsLoadedDevice = Features(rawValue: 1 << 37)
    /// migrate_cancel is obeyed when everything is sent and the destination may be completing (10.0.13, 11.1.3).
    package static let cancelsBehindHandOver = Features(rawValue: 1 << 38)
    /// ENOMSG in STOP_COPY ends the state short, without an error (10.0.13, 11.1.3).
    package static let endsStateAtENOMSG = Features(rawValue: 1 << 39)

    package static let quirks: Features = [
        .endlessAfterUnderflow, .unguardedAfterLastCheck, .noCheckWithoutP2P, .returnPathErrorsUnwatched, .startsBeforeShut,
        .resetsLoadedDevice, .cancelsBehindHandOver, .endsStateAtENOMSG,
    ]
}

package struct Generation: Hashable, Sendable {
    /// `10.0`, `11.1`, `v1`, ...
    package var name: String
    package var features: Features

    package init(name: String, features: Features) {
        self.name = name
        self.features = features
    }

    package func has(_ feature: Features) -> Bool { features.contains(feature) }

    /// The same without what is known to be wrong with it.
    package var corrected: Generation { Generation(name: name + "-corrected", features: features.subtracting(.quirks)) }
}
