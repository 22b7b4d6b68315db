/// The part of a process's logs that one leg has written, since a process may migrate more than once.

/// A range of bytes of a log file that begins and ends between lines.
package struct LogSlice: Hashable, Sendable {
    package let path: String
    package let start: Int
    /// The offset of the first byte after the range; nil: the file's end.
    package var end: Int?

    package init(path: String, start: Int) {
        self.path = path
        self.start = start
    }
}

/// The two logs of a side, for one leg.
package struct LegLogs: Hashable, Sendable {
    package var qemu: LogSlice
    package var devices: LogSlice

    package init(qemu: LogSlice, devices: LogSlice) {
        self.qemu = qemu
        self.devices = devices
    }
}
