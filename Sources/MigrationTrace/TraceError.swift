/// Why a file is not a trace.
package struct TraceError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: String, Hashable, Sendable {
        case empty
        case foreign
        case unknownVersion
        /// The end is missing.
        case truncated
        case malformed
        /// A count does not agree with what is there.
        case wrongCount
        /// More than a trace may hold.
        case oversized
        /// A fold within a fold.
        case nested
    }

    package var kind: Kind
    package var position: Position
    package var reason: String

    package var description: String { "\(position): \(reason)" }
}
