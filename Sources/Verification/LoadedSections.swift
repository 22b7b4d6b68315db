/// The sections that a destination reads, and whose section it is in.
import MigrationTrace

struct LoadedSections: Sendable {
    private(set) var names: DeviceNames
    /// PART and END sections begun.
    private(set) var count = 0
    /// The section being read is that of the user of switchover-ack that is no VFIO device.
    private(set) var isInRequesters = false
    private let requester: String?
    private(set) var ids = SectionIds()

    /// `idstrs`: section idstrs by device name; `requester`: the section idstr of a user that is no VFIO device.
    init(idstrs: [String: String], requester: String?) {
        names = DeviceNames(idstrs)
        self.requester = requester
    }

    /// A START or FULL section begins.
    mutating func start(_ section: UInt32, _ idstr: String) {
        ids.add(section, idstr)
        enter(idstr)
    }

    /// A PART or END section begins.
    mutating func goOn(_ section: UInt32) {
        count += 1
        if let idstr = ids[section] { enter(idstr) }
    }

    /// Counts the sections that have begun since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: LoadedSections) { count += (count - before.count) * times }

    mutating func sawLine(of device: String) { names.sawLine(of: device) }

    private mutating func enter(_ idstr: String) {
        names.enterSection(idstr)
        isInRequesters = idstr == requester
    }
}

/// The idstr of each section number of a stream: both sides of a migration have the same.
struct SectionIds: Sendable {
    private(set) var idstrs: [UInt32: String] = [:]
    /// The numbers up to 255 that are known, so that a section that comes again costs nothing.
    private var known: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    mutating func add(_ section: UInt32, _ idstr: String) {
        let bit = UInt64(1) << UInt64(section & 63)
        switch section >> 6 {
        case 0: if known.0 & bit != 0 { return } else { known.0 |= bit }
        case 1: if known.1 & bit != 0 { return } else { known.1 |= bit }
        case 2: if known.2 & bit != 0 { return } else { known.2 |= bit }
        case 3: if known.3 & bit != 0 { return } else { known.3 |= bit }
        default: break
        }
        if idstrs.count < 4 * SourceDevices.most { idstrs[section] = idstr }
    }

    subscript(section: UInt32) -> String? { idstrs[section] }
}
