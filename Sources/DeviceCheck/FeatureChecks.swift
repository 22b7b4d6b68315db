/// Checks of VFIO_DEVICE_FEATURE itself: operations, sizes, pointers, unknown features.
import MigrationTrace
import SystemPackage
import VFIO

private let feature = "VFIO_DEVICE_FEATURE"

/// A FEATURE call with so many bytes of data.
private func call(_ bench: Bench, flags: UInt32, argsz: UInt32? = nil, bytes: Int) -> Result<Void, Errno> {
    withUnsafeTemporaryAllocation(byteCount: bytes, alignment: 8) { data in
        data.initializeMemory(as: UInt8.self, repeating: 0)
        return bench.device.feature(flags: flags, argsz: argsz, data)
    }
}

private func flags(_ which: MigrationFeature, _ operation: FeatureOperation) -> UInt32 { which.rawValue | operation.rawValue }

let featureChecks: [Check] = [
    Check("migration-flags", "MIGRATION has STOP_COPY and no unknown flag", "VFIO_DEVICE_FEATURE_MIGRATION") {
        bench throws(Departure) in
        let result = bench.device.migrationFlags()
        guard case .success(let flags) = result else { throw .deviates(expected: "GET MIGRATION succeeds", found: result.words) }
        try bench.require(flags & 1 != 0 && flags & ~7 == 0, "STOP_COPY, with P2P and PRE_COPY at most", found: "flags \(flags)")
    },
    Check("migration-get-only", "MIGRATION cannot be SET", "VFIO_DEVICE_FEATURE_MIGRATION") { bench throws(Departure) in
        try bench.fail("SET MIGRATION", call(bench, flags: flags(.migration, .set), bytes: 8), with: .invalidArgument)
    },
    Check("feature-unknown", "an unknown feature is ENOTTY", feature) { bench throws(Departure) in
        let unknown: UInt32 = 0x7ff0
        try bench.fail("GET of feature \(unknown)", call(bench, flags: unknown | FeatureOperation.get.rawValue, bytes: 8), with: .notTTY)
        let probe = unknown | FeatureOperation([.get, .probe]).rawValue
        try bench.fail("PROBE of feature \(unknown)", call(bench, flags: probe, bytes: 0), with: .notTTY)
    },
    Check("feature-argsz", "an argsz that does not cover the data is EINVAL", feature) { bench throws(Departure) in
        for argsz: UInt32 in [0, 4, 8] {
            try bench.fail(
                "GET MIGRATION with argsz \(argsz)", call(bench, flags: flags(.migration, .get), argsz: argsz, bytes: 8),
                with: .invalidArgument)
        }
    },
    Check("feature-unknown-flag", "an unknown bit of the flags is EINVAL", feature) { bench throws(Departure) in
        try bench.fail(
            "GET MIGRATION with bit 19", call(bench, flags: flags(.migration, .get) | 1 << 19, bytes: 8), with: .invalidArgument)
    },
    Check("feature-get-and-set", "GET and SET exclude each other without PROBE", feature) { bench throws(Departure) in
        try bench.fail("GET|SET MIG_DEVICE_STATE", call(bench, flags: flags(.deviceState, [.get, .set]), bytes: 8), with: .invalidArgument)
    },
    Check("feature-no-operation", "a call that is neither GET, SET nor PROBE is EINVAL", feature) { bench throws(Departure) in
        try bench.fail("MIGRATION without an operation", call(bench, flags: flags(.migration, []), bytes: 8), with: .invalidArgument)
    },
    Check("feature-pointer", "an argument that is NULL is EFAULT", feature) { bench throws(Departure) in
        let null = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        try bench.fail("VFIO_DEVICE_FEATURE of NULL", bench.device.request(featureRequest, null), with: .badAddress)
    },
    Check("probe-state", "PROBE of MIG_DEVICE_STATE succeeds and changes nothing", feature) { bench throws(Departure) in
        for operation: FeatureOperation in [[.get, .probe], [.set, .probe], [.get, .set, .probe]] {
            try bench.succeed("PROBE of MIG_DEVICE_STATE", bench.device.feature(.deviceState, operation))
        }
        try bench.expectState(.running, after: "PROBE")
    },
    Check("data-size-get-only", "MIG_DATA_SIZE cannot be SET", "VFIO_DEVICE_FEATURE_MIG_DATA_SIZE") { bench throws(Departure) in
        try bench.fail("SET MIG_DATA_SIZE", call(bench, flags: flags(.dataSize, .set), bytes: 8), with: .invalidArgument)
    },
]

/// VFIO_DEVICE_FEATURE.
private let featureRequest: UInt64 = 0x3b75

extension Errno {
    static let notTTY = Errno.inappropriateIOCTLForDevice
}
