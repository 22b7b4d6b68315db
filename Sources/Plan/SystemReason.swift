/// What the system says of a file that cannot be made, read or written, and what is wrong with JSON.
import Foundation

/// The words of the system call that failed (`No space left on device`), which Foundation's own text leaves out.
package func systemReason(_ error: any Error) -> String {
    if let error = error as? POSIXError { return String(cString: strerror(error.code.rawValue)) }
    let error = error as NSError
    if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(truncatingIfNeeded: error.code))) }
    guard let cause = error.userInfo[NSUnderlyingErrorKey] as? any Error else { return error.localizedDescription }
    return systemReason(cause)
}

/// What is wrong with a JSON document that was decoded, in a few words.
package func jsonReason(_ error: any Error) -> String {
    func place(_ context: DecodingError.Context) -> String { context.codingPath.map(\.stringValue).joined(separator: ".") }
    return switch error {
    case DecodingError.keyNotFound(let key, _): "'\(key.stringValue)' is missing"
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context): "'\(place(context))' is of another type"
    case DecodingError.dataCorrupted(let context) where !context.codingPath.isEmpty: "'\(place(context))': \(context.debugDescription)"
    default: "it is not JSON"
    }
}
