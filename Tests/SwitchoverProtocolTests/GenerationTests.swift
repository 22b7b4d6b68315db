/// Features have dates, and generations are made of them.
import Testing

@testable import SwitchoverProtocol

@Suite struct GenerationTests {
    /// What each generation has beside its quirks, written out.
    static let expected: [(String, Features)] = [
        ("8.1", []),
        ("10.0", [.postcopyRecoverSetup, .switchoverInDevice]),
        ("10.1", [.postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .namesDevicesByID]),
        (
            "10.2",
            [
                .postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .namesDevicesByID,
                .storesLoadErrors,
            ]
        ),
        (
            "11.0",
            [
                .postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .failing,
                .namesDevicesByID, .storesLoadErrors, .coloRequiresReturnPath,
            ]
        ),
        (
            "v1",
            [
                .postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .failing,
                .namesDevicesByID, .storesLoadErrors, .storesSwitchoverErrors, .coloRequiresReturnPath,
                .perDeviceAcks, .queryPending, .finalQuery, .requestHandler, .overflowError,
            ]
        ),
        (
            "v2",
            [
                .postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .failing,
                .namesDevicesByID, .storesLoadErrors, .storesSwitchoverErrors, .coloRequiresReturnPath,
                .perDeviceAcks, .queryPending, .finalQuery, .finalReturnsEarly, .finalSkipsStatistics,
            ]
        ),
        (
            "11.1",
            [
                .postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .failing,
                .namesDevicesByID, .storesLoadErrors, .storesSwitchoverErrors, .coloRequiresReturnPath,
                .perDeviceAcks, .queryPending, .finalQuery, .fractionalBandwidth,
            ]
        ),
        (
            "postcopy-device-v1",
            [
                .postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .namesDevicesByID,
                .storesLoadErrors, .threadLeavesPostcopyDevice,
            ]
        ),
        (
            "request-message",
            [
                .postcopyRecoverSetup, .switchoverInDevice, .decidesAtThreshold, .savesInOneCallback, .postcopyDevice, .failing,
                .namesDevicesByID, .storesLoadErrors, .storesSwitchoverErrors, .coloRequiresReturnPath,
                .perDeviceAcks, .queryPending, .finalQuery, .fractionalBandwidth, .requestMessage,
            ]
        ),
    ]

    @Test func allAreExpected() { #expect(Generation.all.map(\.name) == Self.expected.map(\.0)) }

    @Test(arguments: expected) func features(name: String, features: Features) throws {
        let generation = try #require(Generation(named: name))
        #expect(generation.features.subtracting(.quirks) == features)
        #expect(generation.corrected.features == features)
        #expect(generation.corrected.name == name + "-corrected")
        #expect(Generation(named: name + "-corrected") == generation.corrected)
    }

    @Test func unknownNames() {
        for name in ["", "10", "11.2", "9.1", "corrected", "11.1-"] { #expect(Generation(named: name) == nil) }
    }

    @Test func confirmed() {
        let unconfirmed = Generation.all.filter { !$0.isConfirmed }.map(\.name)
        #expect(unconfirmed == ["8.1", "postcopy-device-v1", "request-message"])
        #expect(Generation.all.filter { $0.basis == .run }.map(\.name) == ["10.0", "10.1", "10.2", "11.0", "11.1"])
    }

    /// Known defects: those of 11.1.3 alone since the first posting of its series, those of 10.0.13 since 8.1, and alone up to there.
    @Test func quirks() throws {
        let newOnly: Features = [
            .endlessAfterUnderflow, .unguardedAfterLastCheck, .noCheckWithoutP2P, .opensReturnPathWhenCancelled, .countsSentStopCopy,
        ]
        let old: Features = [
            .returnPathErrorsUnwatched, .startsBeforeShut, .resetsLoadedDevice, .cancelsAfterHandOver, .endsStateAtENOMSG,
            .failsAtPostcopyEnd, .listenSetsBackToDiscard, .readsReturnPathOfFile, .readsReturnPathOfPipe, .marksAfterFailedQuery,
            .marksAfterENOMSG, .failsWithPackageOnItsWay,
        ]
        #expect(Features.quirks == newOnly.union(old).union(.connectsThoughCancelled))
        for generation in Generation.all {
            let expected: Features =
                switch generation.name {
                case "v1", "v2", "11.1", "request-message": newOnly.union(old)
                default: old.union(.connectsThoughCancelled)
                }
            #expect(generation.features.intersection(.quirks) == expected, "\(generation.name)")
        }
    }

    /// One row a member, each member in one row.
    @Test func tableIsWhole() {
        #expect(Set(Feature.table.map(\.name)).count == Feature.table.count)
        var seen = Features()
        for row in Feature.table {
            #expect(row.feature.rawValue.nonzeroBitCount == 1, "\(row.name)")
            #expect(seen.isDisjoint(with: row.feature), "\(row.name)")
            #expect(row.isQuirk == (row.feature.rawValue >= 1 << 32), "\(row.name)")
            seen.formUnion(row.feature)
            if let since = row.since, let until = row.until { #expect(since < until, "\(row.name)") }
        }
        #expect(seen.rawValue == (1 << 20) - 1 | ((1 << 18) - 1) << 32)
    }
}
