/// A line of a table whose fields are separated by commas, as Kibana and others export logs.

enum CSVLine {
    /// A table with more columns is none.
    private static let mostFields = 64

    /// The fields, without quotes; nil if no field is quoted, or the line has another form.
    static func fields(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> [[UInt8]]? {
        let (quote, comma) = (UInt8(ascii: "\""), UInt8(ascii: ","))
        var fields: [[UInt8]] = []
        var cursor = start
        var hasQuotes = false
        while cursor <= end {
            guard fields.count < mostFields else { return nil }
            var field: [UInt8] = []
            if cursor < end, cursor.pointee == quote {
                hasQuotes = true
                cursor += 1
                while true {
                    guard cursor < end else { return nil }
                    if cursor.pointee == quote {
                        cursor += 1
                        // A quote in a field is doubled.
                        guard cursor < end, cursor.pointee == quote else { break }
                    }
                    field.append(cursor.pointee)
                    cursor += 1
                }
                guard cursor == end || cursor.pointee == comma else { return nil }
            } else {
                while cursor < end, cursor.pointee != comma {
                    field.append(cursor.pointee)
                    cursor += 1
                }
            }
            fields.append(field)
            cursor += 1
        }
        return hasQuotes && fields.count > 1 ? fields : nil
    }

    /// True if the line may be of a table: looking at each line's fields takes too long.
    static func isLikely(_ start: UnsafePointer<UInt8>, _ end: UnsafePointer<UInt8>) -> Bool {
        guard end - start > 2 else { return false }
        let quote = UInt8(ascii: "\"")
        return (start.pointee == quote || end[-1] == quote)
            && UnsafeBufferPointer(start: start, count: end - start).contains(UInt8(ascii: ","))
    }
}
