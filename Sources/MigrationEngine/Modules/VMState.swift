/// Modules with a FULL section only: devices that QEMU describes by fields, among them the two that every machine has.
import MigrationStream
import MigrationTrace

/// Any device of the machine: a number of bytes, moved as they are.
package final class VMState: SaveVMHandlers {
    package let idstr: String
    package let instance: UInt32
    package let version: UInt32
    package let hasState = true
    package var fields: [UInt8]

    package init(idstr: String, instance: UInt32 = 0, version: UInt32 = 1, fields: [UInt8]) {
        self.idstr = idstr
        self.instance = instance
        self.version = version
        self.fields = fields
    }

    package func saveState(_ call: inout Call) throws(ModuleError) -> Progress {
        call.payload.append(.fields(fields))
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        fields = try loadedFields(record, of: idstr, count: fields.count)
        return .done
    }
}

/// `timer`: the clocks of the guest.
package final class TimerState: SaveVMHandlers {
    package let idstr = "timer"
    package let version: UInt32 = 2
    package let hasState = true
    /// The offsets to the host's tick counter and clock (ns).
    package var ticksOffset: Int64 = 0
    package var clockOffset: Int64 = 0

    package init() {}

    package func saveState(_ call: inout Call) throws(ModuleError) -> Progress {
        let unused = [UInt8](repeating: 0, count: 8)
        call.payload.append(.fields(bigEndian(UInt64(bitPattern: ticksOffset)) + unused + bigEndian(UInt64(bitPattern: clockOffset))))
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        let bytes = try loadedFields(record, of: idstr, count: 24)
        ticksOffset = Int64(bitPattern: number(bytes[0..<8]))
        clockOffset = Int64(bitPattern: number(bytes[16..<24]))
        return .done
    }
}

/// `globalstate`: the run state of the guest before the migration stopped it, from which it follows whether the destination starts the
/// guest.
package final class GlobalState: SaveVMHandlers {
    package let idstr = "globalstate"
    package let hasState = true
    /// The state that the section is to send.
    package private(set) var stored = RunState.running
    /// The state that the section has brought; nil without a section.
    package private(set) var received: RunState?
    package private(set) var wasSuspended = false

    package init() {}

    /// Notes the run state, before the guest is stopped.
    package func store(_ state: RunState) {
        stored = state
        wasSuspended = state == .suspended
    }

    /// The run state that the destination enters: without the section the source is assumed to have run.
    package var target: RunState { received ?? .running }

    /// True if the destination starts its guest; one that was started with `-S` does not.
    package func startsGuest(startsPaused: Bool) -> Bool { !startsPaused && (target == .running || target == .suspended) }

    package func saveState(_ call: inout Call) throws(ModuleError) -> Progress {
        call.host.emit(.migrateGlobalStatePreSave(stored.rawValue))
        let text = Array(stored.rawValue.utf8)
        var bytes = [UInt8](repeating: 0, count: 104)
        bytes[3] = UInt8(text.count + 1)
        bytes.replaceSubrange(4..<4 + text.count, with: text)
        (bytes[36], bytes[37]) = (1, wasSuspended ? 1 : 0)
        call.payload.append(.fields(bytes))
        return .done
    }

    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        received = nil
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        let bytes = try loadedFields(record, of: idstr, count: 104)
        let name = String(decoding: bytes[4..<36].prefix { $0 != 0 }, as: UTF8.self)
        call.host.emit(.migrateGlobalStatePostLoad(name))
        guard let state = RunState(rawValue: name) else { throw ModuleError("invalid parameter value: \(name)", result: -22) }
        received = state
        wasSuspended = bytes[36] == 1 && bytes[37] == 1
        return .done
    }
}

private func loadedFields(_ record: SectionRecord, of idstr: String, count: Int) throws(ModuleError) -> [UInt8] {
    guard case .fields(let bytes) = record, bytes.count == count else {
        throw ModuleError("Failed to load \(idstr): \(count) bytes of fields expected, not \(record)", result: -22)
    }
    return bytes
}

private func bigEndian(_ value: UInt64) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> UInt64(56 - 8 * $0)) } }

private func number(_ bytes: ArraySlice<UInt8>) -> UInt64 { bytes.reduce(0) { $0 << 8 | UInt64($1) } }
