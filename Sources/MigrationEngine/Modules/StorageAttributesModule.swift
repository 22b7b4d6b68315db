/// The storage attributes (CMMA) of an s390 guest's pages as a module: section `s390-stattrib`. It reports a number of pages where other
/// modules report bytes.
import MigrationStream
import SwitchoverProtocol

package final class StorageAttributes: SaveVMHandlers {
    package let idstr = "s390-stattrib"
    package let version: UInt32 = 0
    package let isIterable = true

    /// The attribute of each page.
    package private(set) var values: [UInt8]
    /// True if the machine uses storage attributes; without them the module takes no part.
    package var isEnabled = true
    /// True if the destination has read DONE, and uses the attributes that arrived.
    package private(set) var isSynchronised = false

    private var dirty: PageSet
    private var isLogging = false
    private var next = 0
    private var loaded: [UInt8] = []

    /// The most attributes of a record.
    private static let chunk = 4096

    package init(pages: Int) {
        values = Array(repeating: 0, count: pages)
        dirty = PageSet(pages: pages)
    }

    /// Sets an attribute, as the guest does.
    package func set(_ page: Int, _ value: UInt8) {
        values[page] = value
        if isLogging { dirty.insert(page) }
    }

    package func isActive(_ host: Host) -> Bool { isEnabled }

    // MARK: Source

    package func saveSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        dirty.insertAll()
        isLogging = true
        next = 0
        call.payload.append(.end)
        return .done
    }

    /// Adds a count of pages to bytes, in every kind of query (read in 11.1, not run).
    package func saveQueryPending(
        _ pending: inout PendingBytes, exact: Bool, final: Bool, _ call: inout Call
    ) throws(ModuleError) -> Progress {
        pending.precopy += UInt64(dirty.count)
        return .done
    }

    package func saveLiveIterate(budget: Int, _ call: inout Call) throws(ModuleError) -> Progress {
        var left = budget - SectionRecord.end.wireSize
        var isFirst = true
        while left > 16 || isFirst, let record = nextRecord(most: max(left - 16, 1)) {
            call.payload.append(record)
            left -= record.wireSize
            isFirst = false
        }
        call.payload.append(.end)
        return .done(dirty.isEmpty ? 1 : 0)
    }

    package func saveComplete(_ call: inout Call) throws(ModuleError) -> Progress {
        while let record = nextRecord(most: Self.chunk) { call.payload.append(record) }
        call.payload += [.attributesDone, .end]
        return .done
    }

    package func saveCleanup(_ call: inout Call) -> Progress {
        dirty.removeAll()
        isLogging = false
        return .done
    }

    private func nextRecord(most: Int) -> SectionRecord? {
        guard let run = dirty.run(from: next) ?? dirty.run(from: 0) else { return nil }
        let pages = run.lowerBound..<min(run.upperBound, run.lowerBound + min(most, Self.chunk))
        dirty.remove(pages)
        next = pages.upperBound
        return .attributes(first: UInt64(pages.lowerBound), values: Array(values[pages]))
    }

    // MARK: Destination

    package func loadSetup(_ call: inout Call) throws(ModuleError) -> Progress {
        loaded = values
        isSynchronised = false
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        switch record {
        case .attributes(let first, let new):
            guard first <= UInt64(loaded.count), new.count <= loaded.count - Int(first) else {
                throw ModuleError("s390-stattrib: \(new.count) attributes from page \(first) on, of \(loaded.count) pages", result: -22)
            }
            loaded.replaceSubrange(Int(first)..<Int(first) + new.count, with: new)
        case .attributesDone:
            values = loaded
            isSynchronised = true
        case .end: break
        default: throw ModuleError("Unexpected storage attribute flag data: 0", result: -22)
        }
        return .done
    }
}
