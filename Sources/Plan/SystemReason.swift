/// What the system says of a file that cannot be made, read or written.
import Foundation

/// The words of the system call that failed (`No space left on device`), which Foundation's own text leaves out.
package func systemReason(_ error: any Error) -> String {
    if let error = error as? POSIXError { return String(cString: strerror(error.code.rawValue)) }
    let error = error as NSError
    if error.domain == NSPOSIXErrorDomain { return String(cString: strerror(Int32(truncatingIfNeeded: error.code))) }
    guard let cause = error.userInfo[NSUnderlyingErrorKey] as? any Error else { return error.localizedDescription }
    return systemReason(cause)
}
