/// Checks of PRE_COPY: the opt-in to INFOv2, what precopy queries say, re-initialisation, and the temporary end of the data.
import CVFIOMock
import MigrationTrace
import SystemPackage
import VFIO

private let info = "struct vfio_precopy_info"
private let optIn = "VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2"
private let reinit = "VFIO_PRECOPY_INFO_REINIT"
private let precopy = "VFIO_DEVICE_STATE_PRE_COPY"

/// A query whose argument holds bytes that no device reports.
private func query(_ bench: Bench, _ descriptor: DataDescriptor, flags: UInt32 = 0, argsz: UInt32 = 24) -> Result<vfio_precopy_info, Errno>
{
    bench.device.rawPrecopyInfo(
        descriptor, vfio_precopy_info(argsz: argsz, flags: flags, initial_bytes: garbage, dirty_bytes: garbage))
}

private let garbage: UInt64 = 0x1111_2222_3333_4444

/// The answer to a query that must succeed.
private func answer(_ bench: Bench, _ descriptor: DataDescriptor, flags: UInt32 = 0) throws(Departure) -> vfio_precopy_info {
    switch query(bench, descriptor, flags: flags) {
    case .success(let info): return info
    case .failure(let errno): throw .deviates(expected: "VFIO_MIG_GET_PRECOPY_INFO succeeds in PRE_COPY", found: errno.name)
    }
}

/// The answer to a query made as QEMU makes it, with nothing in the argument.
private func zeroedAnswer(_ bench: Bench, _ descriptor: DataDescriptor) throws(Departure) -> vfio_precopy_info {
    let result = bench.device.rawPrecopyInfo(
        descriptor, vfio_precopy_info(argsz: 24, flags: 0, initial_bytes: 0, dirty_bytes: 0))
    guard case .success(let info) = result else {
        throw .deviates(expected: "VFIO_MIG_GET_PRECOPY_INFO succeeds in PRE_COPY", found: result.map { _ in }.words)
    }
    return info
}

/// Queries made while a driver may re-initialise by itself.
private let patience = 16

/// Makes queries in PRE_COPY until one reports REINIT; the answer, and those after it.
private func reinitialised(_ bench: Bench, later: Int = 0) throws(Departure) -> (vfio_precopy_info, [vfio_precopy_info], DataDescriptor) {
    try bench.optIn()
    let descriptor = try bench.open(.preCopy)
    for _ in 0..<patience {
        let found = try zeroedAnswer(bench, descriptor)
        guard found.flags & 1 != 0 else { continue }
        var rest: [vfio_precopy_info] = []
        for _ in 0..<later { rest.append(try zeroedAnswer(bench, descriptor)) }
        return (found, rest, descriptor)
    }
    throw bench.skip("no query of \(patience) has reported REINIT: let the device's guest provoke it, or its script")
}

let precopyChecks: [Check] = [
    Check("v2-opt-in", "MIG_PRECOPY_INFOv2 is SET only, and PROBE finds it", optIn, needs: [.infoV2]) { bench throws(Departure) in
        try bench.succeed("PROBE|SET MIG_PRECOPY_INFOv2", bench.device.feature(.precopyInfoV2, [.set, .probe]))
        try bench.fail("GET MIG_PRECOPY_INFOv2", bench.device.feature(.precopyInfoV2, .get), with: .invalidArgument)
        try bench.optIn()
    },
    Check("info-flags-before-opt-in", "without the opt-in the flags come back as they were", optIn, needs: [.precopy]) {
        bench throws(Departure) in
        try bench.beforeOptIn()
        let descriptor = try bench.open(.preCopy)
        for flags: UInt32 in [0, 0xdead_bee0] {
            let found = try answer(bench, descriptor, flags: flags).flags
            try bench.require(found == flags, "flags \(hex(flags))", found: "flags \(hex(found))")
        }
    },
    Check("info-flags", "after the opt-in the flags are REINIT or 0", info, needs: [.precopy, .infoV2]) { bench throws(Departure) in
        try bench.optIn()
        let flags = try answer(bench, bench.open(.preCopy), flags: 0xdead_bee0).flags
        try bench.require(flags & ~1 == 0, "flags 0 or 1 whatever the caller's are", found: "flags \(hex(flags))")
    },
    Check("info-whole", "both sizes are written", info, needs: [.precopy]) { bench throws(Departure) in
        let found = try answer(bench, bench.open(.preCopy))
        try bench.require(found.initial_bytes != garbage, "initial_bytes is written", found: "the caller's value")
        try bench.require(found.dirty_bytes != garbage, "dirty_bytes is written", found: "the caller's value")
    },
    Check("info-argsz", "an argsz that does not cover the answer is EINVAL", info, needs: [.precopy]) { bench throws(Departure) in
        let descriptor = try bench.open(.preCopy)
        for argsz: UInt32 in [0, 8, 23] {
            try bench.fail("a query with argsz \(argsz)", query(bench, descriptor, argsz: argsz), with: .invalidArgument)
        }
    },
    Check("info-pointer", "an argument that is NULL is EFAULT", info, needs: [.precopy]) { bench throws(Departure) in
        let null = UnsafeMutableRawBufferPointer(start: nil, count: 0)
        let result = bench.device.dataRequest(try bench.open(.preCopy), UInt64(VFIO_MIG_GET_PRECOPY_INFO), null)
        try bench.fail("VFIO_MIG_GET_PRECOPY_INFO of NULL", result, with: .badAddress)
    },
    Check("info-unknown-request", "an unknown request on the data descriptor is ENOTTY", info, needs: [.precopy]) {
        bench throws(Departure) in
        let descriptor = try bench.open(.preCopy)
        let result = withUnsafeTemporaryAllocation(byteCount: 32, alignment: 8) { memory in
            memory.initializeMemory(as: UInt8.self, repeating: 0)
            return bench.device.dataRequest(descriptor, 0x3bff, memory)
        }
        try bench.fail("request 0x3bff", result, with: .notTTY)
    },
    Check("info-p2p", "queries succeed in PRE_COPY_P2P, too", info, needs: [.precopy, .p2p]) { bench throws(Departure) in
        _ = try answer(bench, bench.open(.preCopyP2P))
    },
    Check("info-outside", "queries are EINVAL in STOP_COPY", info, needs: [.precopy]) { bench throws(Departure) in
        let descriptor = try bench.open(.preCopy)
        try bench.enter(.stopCopy)
        try bench.fail("a query in STOP_COPY", query(bench, descriptor), with: .invalidArgument)
    },
    Check("info-resuming", "queries fail in RESUMING", info, needs: [.precopy]) { bench throws(Departure) in
        try bench.fail("a query in RESUMING", query(bench, bench.open(.resuming)))
    },
    Check("initial-falls", "initial_bytes is 0 when PRE_COPY has nothing now", info, needs: [.precopy]) { bench throws(Departure) in
        try bench.optIn()
        let descriptor = try bench.open(.preCopy)
        // A device that changes while it runs has more after a query; it is drained a few times.
        var found: UInt64 = 0
        for _ in 0..<patience {
            _ = try bench.drain(descriptor)
            found = try answer(bench, descriptor).initial_bytes
            if found == 0 { return }
        }
        throw .deviates(expected: "initial_bytes 0 after all data was read", found: "\(found)")
    },
    Check("read-drained", "read() is ENOMSG when PRE_COPY has nothing now", precopy, needs: [.precopy]) { bench throws(Departure) in
        let (_, end) = try bench.drain(bench.open(.preCopy))
        try bench.fail("read() in PRE_COPY after all data was read", end, with: .noMessage)
    },
    Check("poll-data", "poll() says readable while there is data", precopy, needs: [.precopy]) { bench throws(Departure) in
        let descriptor = try bench.open(.preCopy)
        guard let result = bench.device.isReadable(descriptor) else { throw bench.skip("this backend has no poll()") }
        let found = try answer(bench, descriptor)
        guard max(found.initial_bytes, found.dirty_bytes) > 0 else { throw bench.skip("the device has no data in PRE_COPY") }
        guard case .success(true) = result else {
            throw .deviates(expected: "POLLIN", found: result.map { $0 ? "POLLIN" : "nothing" }.words)
        }
    },
    Check("reinit-once", "REINIT is reported once for one event", reinit, needs: [.precopy, .infoV2]) { bench throws(Departure) in
        let (_, later, _) = try reinitialised(bench, later: 2)
        let again = later.count { $0.flags & 1 != 0 }
        try bench.require(again < later.count, "a later query without REINIT", found: "REINIT in each of \(again) later queries")
    },
    Check("reinit-dirty", "dirty_bytes restarts at 0 with REINIT", reinit, needs: [.precopy, .infoV2]) { bench throws(Departure) in
        let (found, _, _) = try reinitialised(bench)
        try bench.require(found.dirty_bytes == 0, "dirty_bytes 0 in the answer with REINIT", found: "\(found.dirty_bytes)")
    },
    Check("reinit-data", "there are initial bytes to read after REINIT", reinit, needs: [.precopy, .infoV2]) { bench throws(Departure) in
        let (found, _, descriptor) = try reinitialised(bench)
        try bench.require(found.initial_bytes > 0, "initial_bytes above 0 in the answer with REINIT", found: "0")
        let (bytes, _) = try bench.drain(descriptor)
        try bench.require(!bytes.isEmpty, "data to read after REINIT", found: "none")
    },
]

private func hex(_ value: UInt32) -> String { "0x" + String(value, radix: 16) }
