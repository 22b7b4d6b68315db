/// Checks of VFIO_DEVICE_RESET in each state, and of DMA logging.
import CVFIOMock
import MigrationTrace
import SystemPackage
import VFIO

private let reset = "VFIO_DEVICE_RESET"
private let logging = "VFIO_DEVICE_FEATURE_DMA_LOGGING_START"

let resetChecks: [Check] =
    allStates.map { state in
        let word = state.rawValue.lowercased().replacing("_", with: "")
        return Check("reset-\(word)", "a reset in \(state.rawValue) leads to RUNNING", reset, isDestructive: true) {
            bench throws(Departure) in
            guard bench.states.contains(state) else { throw bench.skip("the device has no \(state.rawValue)") }
            try bench.reach(state)
            try bench.succeed("VFIO_DEVICE_RESET", bench.device.reset())
            try bench.expectState(.running, after: "a reset in \(state.rawValue)")
        }
    } + [
        Check("reset-session", "a reset ends the session", reset, needs: [.precopy], isDestructive: true) { bench throws(Departure) in
            let descriptor = try bench.open(.preCopy)
            try bench.succeed("VFIO_DEVICE_RESET", bench.device.reset())
            try bench.fail("read() after a reset in PRE_COPY", read(bench, descriptor))
        }
    ]

/// A FEATURE call whose data points to memory behind it: `make` is given the address of that memory.
private func call<Data: BitwiseCopyable>(
    _ bench: Bench, _ feature: MigrationFeature, _ operation: FeatureOperation, behind: Int, fill: (UnsafeMutableRawBufferPointer) -> Void,
    _ make: (UInt64) -> Data
) -> Result<Void, Errno> {
    let head = 8 + MemoryLayout<Data>.size
    return withUnsafeTemporaryAllocation(byteCount: head + behind, alignment: 8) { memory in
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        memory.storeBytes(of: UInt32(head), as: UInt32.self)
        memory.storeBytes(of: feature.rawValue | operation.rawValue, toByteOffset: 4, as: UInt32.self)
        let rest = UnsafeMutableRawBufferPointer(rebasing: memory[head...])
        fill(rest)
        memory.storeBytes(of: make(UInt64(UInt(bitPattern: rest.baseAddress))), toByteOffset: 8, as: Data.self)
        return bench.device.request(UInt64(VFIO_DEVICE_FEATURE), memory)
    }
}

private let page: UInt64 = 4096

private func start(_ bench: Bench, ranges: UInt32 = 1) -> Result<Void, Errno> {
    call(bench, .dmaLoggingStart, .set, behind: 16) {
        $0.storeBytes(of: 0, as: UInt64.self)
        $0.storeBytes(of: 64 * page, toByteOffset: 8, as: UInt64.self)
    } _: { address in
        vfio_device_feature_dma_logging_control(page_size: page, num_ranges: ranges, __reserved: 0, ranges: address)
    }
}

private func stop(_ bench: Bench) -> Result<Void, Errno> { bench.device.feature(.dmaLoggingStop, .set) }

private func report(_ bench: Bench) -> Result<Void, Errno> {
    call(bench, .dmaLoggingReport, .get, behind: 8) { _ in
    } _: { address in
        vfio_device_feature_dma_logging_report(iova: 0, length: 64 * page, page_size: page, bitmap: address)
    }
}

private func started(_ bench: Bench) throws(Departure) {
    try bench.succeed("DMA_LOGGING_START of 64 pages", start(bench))
}

let loggingChecks: [Check] = [
    Check("logging-start-stop", "DMA logging can be started, stopped, and started again", logging, needs: [.dmaLogging]) {
        bench throws(Departure) in
        for _ in 0..<2 {
            try started(bench)
            try bench.succeed("DMA_LOGGING_STOP", stop(bench))
        }
    },
    Check("logging-twice", "DMA logging that has been started cannot be started again", logging, needs: [.dmaLogging]) {
        bench throws(Departure) in
        try started(bench)
        let second = start(bench)
        try bench.succeed("DMA_LOGGING_STOP", stop(bench))
        try bench.fail("a second DMA_LOGGING_START", second)
    },
    Check("logging-report", "a report succeeds while DMA is logged", logging, needs: [.dmaLogging]) { bench throws(Departure) in
        try started(bench)
        let result = report(bench)
        try bench.succeed("DMA_LOGGING_STOP", stop(bench))
        if case .failure(.notSupported) = result { throw bench.skip("the kernel is built without CONFIG_IOMMUFD_DRIVER: EOPNOTSUPP") }
        try bench.succeed("DMA_LOGGING_REPORT of 64 pages", result)
    },
    // A page size is a hint, which a driver may round as it likes.
    Check("logging-no-range", "DMA logging of no range is EINVAL", logging, needs: [.dmaLogging]) { bench throws(Departure) in
        let result = start(bench, ranges: 0)
        if result.value != nil { _ = stop(bench) }
        try bench.fail("DMA_LOGGING_START with num_ranges 0", result, with: .invalidArgument)
    },
]
