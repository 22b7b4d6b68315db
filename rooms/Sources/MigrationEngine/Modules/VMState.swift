/// Modules that have nothing but a FULL section: devices as QEMU describes them in fields, among them the two every machine has.
import MigrationStream
import MigrationTrace

/// Any device of the machine: so many bytes, moved as they are.
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
    /// Offsets to the host's tick counter and clock (ns).
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

/// `globalstate`: in which run state the guest was before the migration stopped it, and so whether the destination starts it.
package final class GlobalState: SaveVMHandlers {
    package let idstr = "globalstate"
    package let hasState = true
    /// What the section will say.
    package private(set) var stored = RunState.running
    /// What it said; nil where there was none.
    package private(set) var received: RunState?
    package private(set) var wasSuspended = false

    package init() {}

    /// Called before the guest is stopped.
    package func store(_ state: RunState) {
        stored = state
        wasSuspended = state == .suspended
    }

    /// What the destination's guest is to enter: without the section a source is taken to have run.
    package var target: RunState { received ?? .running }

    /// Whether the destination starts its guest; not where it was started with `-S`.
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
