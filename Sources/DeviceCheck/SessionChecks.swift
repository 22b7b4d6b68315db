/// Checks of data descriptors: when a session opens one, what it is for, and how it ends.
import MigrationTrace
import SystemPackage
import VFIO

private let sessions = "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, data_fd"

let sessionChecks: [Check] = [
    Check("session-saving", "entering the saving group from outside opens a descriptor", sessions) { bench throws(Departure) in
        for state in bench.states where isSaving(state) {
            _ = try bench.open(state)
            try bench.settle()
        }
    },
    Check("session-same", "the descriptor stays the same inside the saving group", sessions, needs: [.precopy]) {
        bench throws(Departure) in
        let descriptor = try bench.open(.preCopy)
        for state in bench.states where state == .preCopyP2P {
            let second = try bench.enter(state)
            try bench.require(second == nil, "SET \(state.rawValue) in PRE_COPY has data_fd -1", found: "another descriptor")
        }
        let second = try bench.enter(.stopCopy)
        try bench.require(second == nil, "SET STOP_COPY in the saving group has data_fd -1", found: "another descriptor")
        let (bytes, _) = try bench.drain(descriptor)
        try bench.require(!bytes.isEmpty, "the descriptor of PRE_COPY has data in STOP_COPY", found: "none")
    },
    Check("session-resuming", "entering RESUMING opens a descriptor", sessions) { bench throws(Departure) in
        _ = try bench.open(.resuming)
    },
    Check("session-none", "states without data open no descriptor", sessions) { bench throws(Departure) in
        for state in bench.states where !isSaving(state) && state != .resuming && state != .running {
            let descriptor = try bench.enter(state)
            try bench.require(descriptor == nil, "SET \(state.rawValue) has data_fd -1", found: "a descriptor")
            let back = try bench.enter(.running)
            try bench.require(back == nil, "SET RUNNING has data_fd -1", found: "a descriptor")
        }
    },
    Check("session-early-close", "a descriptor may be closed before its session ends", sessions) { bench throws(Departure) in
        bench.close(try bench.open(.stopCopy))
        try bench.enter(.running)
        _ = try bench.open(.stopCopy)
    },
    Check("read-after-end", "read() fails after the saving group was left", sessions) { bench throws(Departure) in
        let descriptor = try bench.open(.stopCopy)
        try bench.enter(.stop)
        try bench.fail("read() after STOP_COPY was left", read(bench, descriptor))
    },
    Check("write-after-end", "write() fails after RESUMING was left", sessions) { bench throws(Departure) in
        let bytes = try bench.image()
        let descriptor = try bench.open(.resuming)
        try bench.load(bytes, into: descriptor, of: bench.device)
        try bench.enter(.stop)
        try bench.fail("write() after RESUMING was left", write(bench, descriptor, bytes))
    },
    Check("read-while-resuming", "the descriptor of RESUMING cannot be read", sessions) { bench throws(Departure) in
        try bench.fail("read() in RESUMING", read(bench, bench.open(.resuming)))
    },
    Check("write-while-saving", "the descriptor of the saving group cannot be written", sessions) { bench throws(Departure) in
        try bench.fail("write() in STOP_COPY", write(bench, bench.open(.stopCopy), [UInt8](repeating: 0, count: 16)))
    },
    Check("seek", "a data descriptor is a stream without positions", sessions) { bench throws(Departure) in
        let descriptor = try bench.open(.stopCopy)
        guard let result = bench.device.seek(descriptor) else { throw bench.skip("this backend has no lseek()") }
        try bench.fail("lseek() of a data descriptor", result)
    },
    Check("open-twice", "an open device cannot be opened by another user", "VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_BIND_IOMMUFD") {
        bench throws(Departure) in
        guard let result = bench.device.openAgain() else { throw bench.skip("this backend has no second opener") }
        try bench.fail("a second open()", result)
        try bench.expectState(.running, after: "a second open()")
    },
]

func isSaving(_ state: VFIOState) -> Bool { state == .preCopy || state == .preCopyP2P || state == .stopCopy }

/// One read of 16 bytes.
func read(_ bench: Bench, _ descriptor: DataDescriptor) -> Result<Int, Errno> {
    withUnsafeTemporaryAllocation(byteCount: 16, alignment: 8) { bench.device.read(descriptor, at: $0.baseAddress, count: $0.count) }
}

/// One write of all bytes.
func write(_ bench: Bench, _ descriptor: DataDescriptor, _ bytes: [UInt8]) -> Result<Int, Errno> {
    bytes.withUnsafeBytes { bench.device.write(descriptor, at: $0.baseAddress, count: $0.count) }
}
