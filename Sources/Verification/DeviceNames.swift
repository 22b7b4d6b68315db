/// Which section idstr belongs to which device name of a side.
///
/// Devices are named by their section idstr, which is equal on both sides; QEMU's own names for them are not. A device that has a line
/// inside a section is that section's owner.
import MigrationTrace

struct DeviceNames: Sendable {
    private var all: [(name: String, idstr: String)] = []
    /// The VFIO section in progress.
    private var section: String?
    /// A VFIO device has a section.
    private(set) var hasVFIO = false

    /// `known`: idstrs by device name, as far as they are known from outside the log.
    init(_ known: [String: String] = [:]) { all = known.map { ($0.key, $0.value) } }

    mutating func enterSection(_ idstr: String) {
        section = isOfVFIO(idstr) ? idstr : nil
        if section != nil { hasVFIO = true }
    }
    mutating func leaveSection() { section = nil }

    /// A line of the device, possibly inside a section.
    mutating func sawLine(of device: String) { if let section { name(device, section) } }

    mutating func name(_ device: String, _ idstr: String) {
        guard !isNamed(device), all.count < SourceDevices.most else { return }
        all.append((device, idstr))
    }

    /// The device's section idstr; a device that had no line inside a section keeps its own name.
    func idstr(of device: String) -> String { all.first { $0.name == device }?.idstr ?? device }
    func isNamed(_ device: String) -> Bool { all.contains { $0.name == device } }

    /// A text of QEMU's with the name of a device in it, with the section idstr instead.
    func naming(_ text: String) -> String {
        for (name, idstr) in all where text.contains("\(name): ") { return text.replacing("\(name): ", with: "\(idstr): ") }
        return text
    }

    /// The counts by section idstr, without those that are 0.
    func byIdstr(_ counts: some Sequence<(String, Int)>) -> [String: Int] {
        counts.reduce(into: [:]) { sums, count in if count.1 > 0 { sums[idstr(of: count.0), default: 0] += count.1 } }
    }
}
