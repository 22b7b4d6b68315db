/// The part of a process's logs that one leg wrote: a process may migrate more than once.

/// Bytes of a log file, from whole line to whole line.
package struct LogSlice: Hashable, Sendable {
    package let path: String
    package let start: Int
    /// nil: up to the file's end.
    package var end: Int?

    package init(path: String, start: Int) {
        self.path = path
        self.start = start
    }
}

/// Both logs of a side, in one leg.
package struct LegLogs: Hashable, Sendable {
    package var qemu: LogSlice
    package var devices: LogSlice

    package init(qemu: LogSlice, devices: LogSlice) {
        self.qemu = qemu
        self.devices = devices
    }
}
