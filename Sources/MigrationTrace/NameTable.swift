/// Shared strings for the names of devices, sections and blocks, which recur on every line: equal bytes give the same storage, so that a
/// line costs no allocation. The table is bounded; names beyond its capacity, and long texts, are ordinary strings.
final class NameTable {
    /// The longest name that is kept, in bytes.
    static let longestName = 128
    /// The most names that are kept.
    static let capacity = 1024

    /// The longest text in bytes; a longer text is cut to this length, including the mark at its end.
    static let longestText = 4096
    static let cutMark = "…[cut]"

    private struct Slot {
        var hash: UInt64 = 0
        var start: Int32 = 0
        var length: Int32 = -1
    }

    private static let slotCount = capacity * 2
    private let slots: UnsafeMutablePointer<Slot>
    private let arena: UnsafeMutablePointer<UInt8>
    private let names: UnsafeMutablePointer<String>
    private var count = 0
    private var arenaUsed = 0

    init() {
        slots = .allocate(capacity: Self.slotCount)
        slots.initialize(repeating: Slot(), count: Self.slotCount)
        arena = .allocate(capacity: Self.capacity * Self.longestName)
        names = .allocate(capacity: Self.slotCount)
        names.initialize(repeating: "", count: Self.slotCount)
    }

    deinit {
        slots.deallocate()
        arena.deallocate()
        names.deinitialize(count: Self.slotCount)
        names.deallocate()
    }

    /// The text of these bytes; nil if they are not UTF-8, or hold a control character other than tab (C0, DEL, C1).
    func text(_ start: UnsafePointer<UInt8>, _ length: Int) -> String? {
        if length == 0 { return "" }
        guard length <= Self.longestName else { return longText(start, length) }
        let hash = contentHash(start, length)
        var index = Int(truncatingIfNeeded: hash) & (Self.slotCount - 1)
        while slots[index].length >= 0 {
            let slot = slots[index]
            if slot.hash == hash, Int(slot.length) == length, equalBytes(arena + Int(slot.start), start, length) {
                return names[index]
            }
            index = (index + 1) & (Self.slotCount - 1)
        }
        guard let name = Self.validated(start, length) else { return nil }
        if count < Self.capacity {
            arena.advanced(by: arenaUsed).update(from: start, count: length)
            slots[index] = Slot(hash: hash, start: Int32(arenaUsed), length: Int32(length))
            names[index] = name
            arenaUsed += length
            count += 1
        }
        return name
    }

    private func longText(_ start: UnsafePointer<UInt8>, _ length: Int) -> String? {
        guard length > Self.longestText else { return Self.validated(start, length) }
        var kept = Self.longestText - Self.cutMark.utf8.count
        while kept > 0, start[kept] & 0xC0 == 0x80 { kept -= 1 }
        guard Self.validated(start + kept, length - kept) != nil else { return nil }
        return Self.validated(start, kept).map { $0 + Self.cutMark }
    }

    private static func validated(_ start: UnsafePointer<UInt8>, _ length: Int) -> String? {
        let bytes = UnsafeBufferPointer(start: start, count: length)
        if firstControl(bytes) != nil { return nil }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// True if the `length` bytes at both places are equal.
@inline(__always)
func equalBytes(_ a: UnsafePointer<UInt8>, _ b: UnsafePointer<UInt8>, _ length: Int) -> Bool {
    if length >= 8 {
        let a = UnsafeRawPointer(a)
        let b = UnsafeRawPointer(b)
        var offset = 0
        while offset + 8 <= length {
            if a.loadUnaligned(fromByteOffset: offset, as: UInt64.self) != b.loadUnaligned(fromByteOffset: offset, as: UInt64.self) {
                return false
            }
            offset += 8
        }
        // The last eight bytes overlap those that were compared.
        return a.loadUnaligned(fromByteOffset: length - 8, as: UInt64.self) == b.loadUnaligned(fromByteOffset: length - 8, as: UInt64.self)
    }
    var offset = 0
    while offset < length {
        if a[offset] != b[offset] { return false }
        offset += 1
    }
    return true
}

/// A hash of the bytes, which is equal in every process.
@inline(__always)
func contentHash(_ start: UnsafePointer<UInt8>, _ length: Int) -> UInt64 {
    let raw = UnsafeRawPointer(start)
    var hash = UInt64(truncatingIfNeeded: length) &* 0x9E37_79B9_7F4A_7C15
    var offset = 0
    while offset + 8 <= length {
        hash = mixed(hash ^ raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        offset += 8
    }
    var tail: UInt64 = 0
    var shift: UInt64 = 0
    while offset < length {
        tail |= UInt64(start[offset]) << shift
        shift += 8
        offset += 1
    }
    return mixed(hash ^ tail)
}

@inline(__always)
private func mixed(_ value: UInt64) -> UInt64 {
    let product = value &* 0xFF51_AFD7_ED55_8CCD
    return product ^ (product >> 32)
}
