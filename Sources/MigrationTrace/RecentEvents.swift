/// The events that were read last, by the bytes of their names and texts: a source that iterates prints the same texts again and again,
/// and a text that was read before need not be read again.
///
/// A text is kept when it comes for the second time, so that texts with other numbers on each line cost no copy. The table is bounded, and
/// each text has one place in it.
struct RecentEvents: ~Copyable {
    private struct Key {
        var hash: UInt64 = 0
        /// -1: the text came once and is not kept.
        var length = -1
    }

    /// In bytes; a longer text is not kept.
    private static let longest = 208
    private static let count = 2048

    private let keys: UnsafeMutablePointer<Key>
    private let texts: UnsafeMutablePointer<UInt8>
    private let events: UnsafeMutablePointer<Event>

    init() {
        keys = .allocate(capacity: Self.count)
        keys.initialize(repeating: Key(), count: Self.count)
        texts = .allocate(capacity: Self.count * Self.longest)
        events = .allocate(capacity: Self.count)
        events.initialize(repeating: .migrationCancel, count: Self.count)
    }

    deinit {
        keys.deallocate()
        texts.deallocate()
        events.deinitialize(count: Self.count)
        events.deallocate()
    }

    /// The event of a text that is kept.
    @inline(__always)
    func event(_ text: UnsafePointer<UInt8>, _ length: Int, _ hash: UInt64) -> Event? {
        let index = Self.index(hash)
        guard keys[index].hash == hash, keys[index].length == length, equalBytes(texts + index * Self.longest, text, length) else {
            return nil
        }
        return events[index]
    }

    /// Keeps the event of the text, if it came before.
    func add(_ event: Event, _ text: UnsafePointer<UInt8>, _ length: Int, _ hash: UInt64) {
        guard length <= Self.longest else { return }
        let index = Self.index(hash)
        guard keys[index].hash == hash else {
            keys[index] = Key(hash: hash)
            return
        }
        keys[index].length = length
        (texts + index * Self.longest).update(from: text, count: length)
        events[index] = event
    }

    func forget() { for index in 0..<Self.count { keys[index] = Key() } }

    @inline(__always)
    private static func index(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash >> 32) & (count - 1) }

    /// A hash of the bytes. Its steps do not wait for each other, unlike those of `contentHash`.
    @inline(__always)
    static func hash(_ start: UnsafePointer<UInt8>, _ length: Int) -> UInt64 {
        let raw = UnsafeRawPointer(start)
        var hash = UInt64(truncatingIfNeeded: length)
        var factor: UInt64 = 0x9E37_79B9_7F4A_7C15
        var offset = 0
        while offset + 8 <= length {
            let word = raw.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
            hash = hash &+ (word ^ (word >> 29)) &* factor
            factor = factor &+ 0x517C_C1B7_2722_0A94
            offset += 8
        }
        if length >= 8 {
            // The last eight bytes overlap those before.
            let word = raw.loadUnaligned(fromByteOffset: length - 8, as: UInt64.self)
            hash = hash &+ (word ^ (word >> 29)) &* factor
        } else {
            while offset < length {
                hash = (hash ^ UInt64(start[offset])) &* 0x0000_0100_0000_01B3
                offset += 1
            }
        }
        return (hash ^ (hash >> 33)) &* 0xFF51_AFD7_ED55_8CCD
    }
}
