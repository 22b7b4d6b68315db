/// The sections that a destination reads, and whose section it is in.
import MigrationTrace

struct LoadedSections: Sendable {
    private(set) var names: DeviceNames
    /// PART and END sections begun.
    private(set) var count = 0
    /// The section being read is that of the user of switchover-ack that is no VFIO device.
    private(set) var isInRequesters = false
    private let requester: String?
    /// By section number.
    private var idstrs: [UInt32: String] = [:]

    /// `idstrs`: section idstrs by device name; `requester`: the section idstr of a user that is no VFIO device.
    init(idstrs: [String: String], requester: String?) {
        names = DeviceNames(idstrs)
        self.requester = requester
    }

    /// A START or FULL section begins.
    mutating func start(_ section: UInt32, _ idstr: String) {
        if idstrs.count < 4 * SourceDevices.most { idstrs[section] = idstr }
        enter(idstr)
    }

    /// A PART or END section begins.
    mutating func goOn(_ section: UInt32) {
        count += 1
        if let idstr = idstrs[section] { enter(idstr) }
    }

    /// Counts the sections that have begun since `before` so many times more.
    mutating func repeatWhatHappened(_ times: Int, since before: LoadedSections) { count += (count - before.count) * times }

    mutating func sawLine(of device: String) { names.sawLine(of: device) }

    private mutating func enter(_ idstr: String) {
        names.enterSection(idstr)
        isInRequesters = idstr == requester
    }
}
