/// The table of features: the first release that has each, the first that has it no more, and where that was confirmed.

/// Releases and postings in the order of their base, oldest first. 9.1 only dates a feature: it is no generation.
// A release's number keeps its point apart.
// swift-format-ignore: AlwaysUseLowerCamelCase
package enum Release: String, CaseIterable, Hashable, Sendable, Comparable {
    case v8_1 = "8.1"
    case v9_1 = "9.1"
    case v10_0 = "10.0"
    case v10_1 = "10.1"
    case v10_2 = "10.2"
    case v11_0 = "11.0"
    case v1
    case v2
    case v11_1 = "11.1"

    package static func < (one: Release, other: Release) -> Bool {
        allCases.firstIndex(of: one)! < allCases.firstIndex(of: other)!
    }
}

package struct Feature: Hashable, Sendable {
    /// The source of a date.
    package enum Confirmation: Hashable, Sendable {
        /// Runs of these QEMU versions.
        case runs([String])
        /// Read in source.
        case source
        /// Read in the thread of a posting.
        case posting
        /// Known by description alone.
        case description
    }

    package let name: String
    /// The feature as a set with one member.
    package let feature: Features
    /// The first release that has the feature; nil if none has.
    package let since: Release?
    /// The first release that no longer has the feature; nil if the newest has it.
    package let until: Release?
    package let confirmed: Confirmation
    /// True for a known defect, which `Generation.corrected` removes.
    package let isQuirk: Bool

    package func isIn(_ release: Release) -> Bool {
        guard let since, since <= release else { return false }
        return until.map { release < $0 } ?? true
    }

    /// The features of a release.
    package static func features(of release: Release) -> Features {
        table.reduce(into: Features()) { if $1.isIn(release) { $0.formUnion($1.feature) } }
    }

    /// One row for each member. A quirk that was found on 10.0.13 is assumed to be as old as the capability (8.1): a later fix removes it,
    /// and no fix is known to have been reverted. A quirk that was found on 11.1.3 alone is assumed to be as old as the first posting of
    /// the per-device series.
    package static let table: [Feature] = [
        dated("per-device-acks", .perDeviceAcks, since: .v1, .runs(["11.1.3"])),
        dated("query-pending", .queryPending, since: .v1, .runs(["11.1.3"])),
        dated("final-query", .finalQuery, since: .v1, .runs(["11.1.3"])),
        dated("request-handler", .requestHandler, since: .v1, until: .v2, .posting),
        dated("overflow-error", .overflowError, since: .v1, until: .v2, .posting),
        dated("final-returns-early", .finalReturnsEarly, since: .v2, until: .v11_1, .posting),
        dated("final-skips-statistics", .finalSkipsStatistics, since: .v2, until: .v11_1, .posting),
        dated("decides-at-threshold", .decidesAtThreshold, since: .v10_1, .runs(["10.1.0", "10.2.0", "11.0.0", "11.1.3"])),
        dated("saves-in-one-callback", .savesInOneCallback, since: .v10_1, .runs(["10.1.0", "10.2.0", "11.0.0", "11.1.3"])),
        dated("postcopy-device", .postcopyDevice, since: .v10_2, .runs(["10.2.0", "11.0.0", "11.1.3"])),
        dated("thread-leaves-postcopy-device", .threadLeavesPostcopyDevice, since: nil, .description),
        dated("failing", .failing, since: .v11_0, .runs(["11.0.0", "11.1.3"])),
        dated("request-message", .requestMessage, since: nil, .description),
        dated("postcopy-recover-setup", .postcopyRecoverSetup, since: .v9_1, .source),
        dated("switchover-in-device", .switchoverInDevice, since: .v10_0, .runs(["10.0.13", "11.1.3"])),
        dated("colo-requires-return-path", .coloRequiresReturnPath, since: .v11_0, .runs(["11.0.0", "11.1.3"])),
        dated("names-devices-by-id", .namesDevicesByID, since: .v10_1, .runs(["10.1.0", "10.2.0", "11.0.0", "11.1.3"])),
        dated("stores-load-errors", .storesLoadErrors, since: .v10_2, .runs(["10.2.0", "11.0.0", "11.1.3"])),
        dated("stores-switchover-errors", .storesSwitchoverErrors, since: .v1, .runs(["11.1.3"])),
        dated("fractional-bandwidth", .fractionalBandwidth, since: .v11_1, .runs(["10.0.13", "11.1.3"])),

        quirk("endless-after-underflow", .endlessAfterUnderflow, since: .v1, "11.1.3"),
        quirk("unguarded-after-last-check", .unguardedAfterLastCheck, since: .v1, "11.1.3"),
        quirk("no-check-without-p2p", .noCheckWithoutP2P, since: .v1, "11.1.3"),
        quirk("return-path-errors-unwatched", .returnPathErrorsUnwatched, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("starts-before-shut", .startsBeforeShut, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("resets-loaded-device", .resetsLoadedDevice, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("cancels-after-hand-over", .cancelsAfterHandOver, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("ends-state-at-enomsg", .endsStateAtENOMSG, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("fails-at-postcopy-end", .failsAtPostcopyEnd, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("listen-sets-back-to-discard", .listenSetsBackToDiscard, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("reads-return-path-of-file", .readsReturnPathOfFile, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("reads-return-path-of-pipe", .readsReturnPathOfPipe, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("opens-return-path-when-cancelled", .opensReturnPathWhenCancelled, since: .v1, "11.1.3"),
        quirk("marks-after-failed-query", .marksAfterFailedQuery, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("marks-after-enomsg", .marksAfterENOMSG, since: .v8_1, "10.0.13", "11.1.3"),
        quirk("counts-sent-stop-copy", .countsSentStopCopy, since: .v1, "11.1.3"),
        quirk("connects-though-cancelled", .connectsThoughCancelled, since: .v8_1, until: .v1, "10.0.13"),
        Feature(
            name: "fails-with-package-on-its-way", feature: .failsWithPackageOnItsWay, since: .v8_1, until: nil, confirmed: .description,
            isQuirk: true),
    ]

    private static func dated(
        _ name: String, _ feature: Features, since: Release?, until: Release? = nil, _ confirmed: Confirmation
    ) -> Feature {
        Feature(name: name, feature: feature, since: since, until: until, confirmed: confirmed, isQuirk: false)
    }

    private static func quirk(
        _ name: String, _ feature: Features, since: Release, until: Release? = nil, _ versions: String...
    ) -> Feature {
        Feature(name: name, feature: feature, since: since, until: until, confirmed: .runs(versions), isQuirk: true)
    }
}
