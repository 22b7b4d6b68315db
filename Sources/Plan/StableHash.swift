/// A hash that is the same in every process and on every machine, for names and seeds that outlive a run. That of `Hasher` is not.

extension UInt64 {
    /// The hash of no bytes (FNV-1a, 64 bits).
    package static let emptyHash: UInt64 = 0xcbf2_9ce4_8422_2325
}

/// FNV-1a of the bytes. `seed` takes the place of the hash of no bytes.
package func stableHash(_ bytes: some Sequence<UInt8>, seed: UInt64 = .emptyHash) -> UInt64 {
    bytes.reduce(seed) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
