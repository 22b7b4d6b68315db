/// The calls that a recording has of one device: those of the migration interface, typed, in their order.
///
/// A recording is a trace, and a trace may come from anywhere: every number is checked before it is believed, and folds are unfolded up
/// to a limit.
import MigrationTrace
import VFIO

/// A recording that cannot be used; the message says where and why.
package struct RecordingError: Error, Hashable, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

package struct RecordedCall: Hashable, Sendable {
    package enum Kind: Hashable, Sendable {
        /// VFIO_DEVICE_FEATURE other than those below: the flags with the feature's index, and the data behind the header after the call.
        case feature(flags: UInt32, output: [UInt8])
        /// SET of MIG_DEVICE_STATE; `opens`: a data descriptor came back.
        case state(VFIOState, opens: Bool)
        case dataSize(UInt64)
        case precopyInfo(initial: UInt64, dirty: UInt64, flags: UInt64)
        case read(size: UInt64, hash: UInt64)
        case write(size: UInt64, hash: UInt64)
        case reset
        /// `close()` of the data descriptor.
        case close
    }

    package var kind: Kind
    /// 0 or more, or a negative errno.
    package var result: Int64
    /// Nanoseconds from call to return.
    package var took: UInt64
    /// The number of the entry in its stream, from 1.
    package var position: Int

    package init(_ kind: Kind, result: Int64, took: UInt64 = 0, position: Int) {
        self.kind = kind
        self.result = result
        self.took = took
        self.position = position
    }
}

package struct RecordedDevice: Hashable, Sendable {
    /// The most entries of a stream that are looked at: folds stand for up to 2^40 repetitions.
    package static let mostEntries = 1 << 22
    /// The most calls of one device, some hundred bytes each.
    package static let mostCalls = 1 << 18

    package let name: String
    package let stream: StreamName
    package private(set) var calls: [RecordedCall] = []
    /// Requests that are no migration calls, such as those for regions and interrupts, with how often they were made.
    package private(set) var otherRequests: [String: Int] = [:]
    /// Accesses to regions of the device.
    package private(set) var accesses = 0

    /// True if the device was asked to load.
    package var loads: Bool { calls.contains { if case .state(.resuming, _) = $0.kind { $0.result >= 0 } else { false } } }

    package init(name: String, stream: StreamName, calls: [RecordedCall] = []) {
        self.name = name
        self.stream = stream
        self.calls = calls
    }

    /// The devices that the recording has calls of, in the order of their first calls, those of the source first.
    package static func all(in trace: Trace) throws(RecordingError) -> [RecordedDevice] {
        try devices(of: trace, .sourceDevices) + devices(of: trace, .destinationDevices)
    }

    private static func devices(of trace: Trace, _ stream: StreamName) throws(RecordingError) -> [RecordedDevice] {
        let entries = trace[stream]
        guard entries.count <= mostEntries else {
            throw RecordingError("\(stream.rawValue): expected at most \(mostEntries) entries, found \(entries.count)")
        }
        var devices: [RecordedDevice] = []
        var places: [String: Int] = [:]
        for (index, entry) in entries.enumerated() {
            guard let event = entry.event, let (name, item) = try item(event, position: index + 1, stream) else { continue }
            let place = places[name] ?? devices.count
            if place == devices.count {
                places[name] = place
                devices.append(RecordedDevice(name: name, stream: stream))
            }
            try devices[place].add(item)
        }
        // What was opened and never asked for a state, or the address space of an iommufd, is no device that migrates.
        return devices.filter { !$0.calls.isEmpty }
    }

    private enum Item {
        case call(RecordedCall)
        case request(String)
        case access
    }

    private mutating func add(_ item: Item) throws(RecordingError) {
        switch item {
        case .call(let call):
            guard calls.count < Self.mostCalls else {
                throw RecordingError("\(stream.rawValue): expected at most \(Self.mostCalls) calls of \(name), found more")
            }
            calls.append(call)
        case .request(let request): otherRequests[request, default: 0] += 1
        case .access: accesses += 1
        }
    }

    /// What an event tells of which device; nil: it is none of a recorder, or of no device.
    private static func item(_ event: Event, position: Int, _ stream: StreamName) throws(RecordingError) -> (String, Item)? {
        func call(_ kind: RecordedCall.Kind, _ result: Int64, _ took: UInt64) -> Item {
            .call(RecordedCall(kind, result: result, took: took, position: position))
        }
        switch event {
        case .recordedState(let name, let state, let result, let data, let took):
            return (name, call(.state(state, opens: data >= 0), result, took))
        case .recordedDataSize(let name, let size, let result, let took): return (name, call(.dataSize(size), result, took))
        case .recordedPrecopyInfo(let info):
            let kind = RecordedCall.Kind.precopyInfo(initial: info.initial, dirty: info.dirty, flags: info.flags)
            return (info.device, call(kind, info.result, info.took))
        case .recordedRead(let read):
            try check(read, position, stream)
            return (read.device, call(.read(size: read.size, hash: read.hash), read.result, read.took))
        case .recordedWrite(let write):
            try check(write, position, stream)
            return (write.device, call(.write(size: write.size, hash: write.hash), write.result, write.took))
        case .recordedClose(let name, .data, _, let result, let took): return (name, call(.close, result, took))
        case .recordedAccess(let name, _, _, _, _, _, _): return (name, .access)
        case .recordedIoctl(let name, "VFIO_DEVICE_RESET", _, let result, let took, _, _): return (name, call(.reset, result, took))
        case .recordedIoctl(let name, "VFIO_DEVICE_FEATURE", _, let result, let took, let input, let output):
            let before = try bytes(input, position, stream)
            // A header that the kernel could not read either.
            guard before.count >= 8 else { return (name, .request("VFIO_DEVICE_FEATURE")) }
            let after = output == "=" ? before : try bytes(output, position, stream)
            let flags = before[4..<8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            return (name, call(.feature(flags: flags, output: Array(after.dropFirst(8))), result, took))
        case .recordedIoctl(let name, let request, _, _, _, _, _): return (name, .request(request))
        default: return nil
        }
    }

    private static func check(_ transfer: RecordedTransfer, _ position: Int, _ stream: StreamName) throws(RecordingError) {
        guard transfer.result <= 0 || UInt64(transfer.result) <= transfer.size else {
            throw RecordingError(
                "\(stream.rawValue), entry \(position): expected at most the \(transfer.size) bytes that the call asked for, found "
                    + "\(transfer.result)")
        }
    }

    /// The bytes of a hexadecimal text; `-` is none.
    private static func bytes(_ text: String, _ position: Int, _ stream: StreamName) throws(RecordingError) -> [UInt8] {
        guard text != "-" else { return [] }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text.utf8 {
            let digit: UInt8? =
                switch character {
                case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
                case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
                default: nil
                }
            guard let digit, bytes.count < 256 else {
                throw RecordingError(
                    "\(stream.rawValue), entry \(position): expected at most 256 bytes in hexadecimal, found '\(text.prefix(40))'")
            }
            if let first = high { bytes.append(first << 4 | digit) }
            high = high == nil ? digit : nil
        }
        guard high == nil else {
            throw RecordingError("\(stream.rawValue), entry \(position): expected an even number of digits, found \(text.utf8.count)")
        }
        return bytes
    }
}

extension RecordedCall {
    /// The call as messages name it, without what came back.
    package var description: String {
        switch kind {
        case .feature(let flags, _):
            let feature = MigrationFeature(rawValue: flags & 0xffff).map { "\($0)" } ?? "\(flags & 0xffff)"
            let operations = FeatureOperation(rawValue: flags & ~0xffff)
            let words = [(FeatureOperation.get, "get"), (.set, "set"), (.probe, "probe")].filter { operations.contains($0.0) }.map(\.1)
            return "feature \(feature) (\(words.joined(separator: ", ")))"
        case .state(let state, _): return "set \(state.rawValue)"
        case .dataSize: return "data-size"
        case .precopyInfo: return "precopy-info"
        case .read(let size, _): return "read size \(size)"
        case .write(let size, _): return "write size \(size)"
        case .reset: return "reset"
        case .close: return "data-close"
        }
    }
}
