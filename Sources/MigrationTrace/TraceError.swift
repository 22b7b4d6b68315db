/// The reason why a file is no whole trace.
package struct TraceError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Kind: String, Hashable, Sendable {
        case empty
        case foreign
        case unknownVersion
        /// The end of the trace is missing.
        case truncated
        case malformed
        /// A count does not agree with the number of lines or entries.
        case wrongCount
        /// A number is beyond what a trace may hold.
        case oversized
        /// A fold is inside another fold.
        case nested
    }

    package var kind: Kind
    package var position: Position
    package var reason: String

    package var description: String { "\(position): \(reason)" }
}
