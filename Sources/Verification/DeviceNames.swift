/// Which section idstr belongs to which device name of a side.
///
/// Devices are named by their section idstr, which is equal on both sides; QEMU's own names for them are not. A device that has a line
/// inside a section is that section's owner.
import MigrationTrace

struct DeviceNames: Sendable {
    private var byName: [String: String] = [:]
    /// The VFIO section in progress.
    private var section: String?
    /// A VFIO device has a section.
    private(set) var hasVFIO = false

    /// `known`: idstrs by device name, as far as they are known from outside the log.
    init(_ known: [String: String] = [:]) { byName = known }

    mutating func enterSection(_ idstr: String) {
        section = isOfVFIO(idstr) ? idstr : nil
        if section != nil { hasVFIO = true }
    }
    mutating func leaveSection() { section = nil }

    /// A line of the device, possibly inside a section.
    mutating func sawLine(of device: String) { if let section { name(device, section) } }

    mutating func name(_ device: String, _ idstr: String) {
        guard byName[device] == nil, byName.count < SourceDevices.most else { return }
        byName[device] = idstr
    }

    /// The device's section idstr; a device that had no line inside a section keeps its own name.
    func idstr(of device: String) -> String { byName[device] ?? device }
    func isNamed(_ device: String) -> Bool { byName[device] != nil }

    /// A text of QEMU's with the name of a device in it, with the section idstr instead.
    func naming(_ text: String) -> String {
        for (name, idstr) in byName where text.contains("\(name): ") { return text.replacing("\(name): ", with: "\(idstr): ") }
        return text
    }

    /// The counts by section idstr, without those that are 0.
    func byIdstr(_ counts: some Sequence<(String, Int)>) -> [String: Int] {
        counts.reduce(into: [:]) { sums, count in if count.1 > 0 { sums[idstr(of: count.0), default: 0] += count.1 } }
    }
}
