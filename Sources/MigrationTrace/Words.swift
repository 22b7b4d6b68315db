/// The closed sets of words in event texts: states, run states, commands.
///
/// A word that QEMU prints and that is not listed here makes its line malformed. Such a line is counted with its position, because a new
/// word of a new QEMU is a finding that nobody should guess at.

/// A type of arguments that the declarations of events name.
package protocol EventArgument: Hashable, Sendable {
    /// The value that a form of an event has until a reader fills in another.
    static var placeholder: Self { get }
}

/// A closed set of words in event texts.
package protocol TraceWord: RawRepresentable<String>, CaseIterable, EventArgument {}

extension TraceWord {
    package static var placeholder: Self { allCases.first! }
}

/// Migration status, as `migrate_set_state` prints it (10.0 to 11.1; `failing` since 11.0, `postcopy-device` since 10.2).
package enum MigrationStatus: String, TraceWord {
    case none
    case setup
    case waitUnplug = "wait-unplug"
    case active
    case preSwitchover = "pre-switchover"
    case device
    case postcopyDevice = "postcopy-device"
    case postcopyActive = "postcopy-active"
    case postcopyPaused = "postcopy-paused"
    case postcopyRecoverSetup = "postcopy-recover-setup"
    case postcopyRecover = "postcopy-recover"
    case colo
    case completed
    case cancelling
    case cancelled
    case failing
    case failed
}

/// The run state of the guest, which is also the *reason* of VM-state callbacks.
package enum RunState: String, TraceWord {
    case debug
    case inmigrate
    case internalError = "internal-error"
    case ioError = "io-error"
    case paused
    case postmigrate
    case prelaunch
    case finishMigrate = "finish-migrate"
    case restoreVM = "restore-vm"
    case running
    case saveVM = "save-vm"
    case shutdown
    case suspended
    case watchdog
    case guestPanicked = "guest-panicked"
    case colo
}

/// The migration state of a VFIO device. QEMU and the mock print the same names.
package enum VFIOState: String, TraceWord {
    case error = "ERROR"
    case stop = "STOP"
    case running = "RUNNING"
    case stopCopy = "STOP_COPY"
    case resuming = "RESUMING"
    case runningP2P = "RUNNING_P2P"
    case preCopy = "PRE_COPY"
    case preCopyP2P = "PRE_COPY_P2P"
    case unknown = "UNKNOWN STATE"
}

/// The state of the block devices in `migration_block_activation`.
package enum BlockActivation: String, TraceWord {
    case active
    case inactive
}

/// The kind of state in `vmstate_downtime_save` and `vmstate_downtime_load`.
package enum DowntimeKind: String, TraceWord {
    case iterable
    case nonIterable = "non-iterable"
}

/// A command of the forward stream (11.1). `savevm_command_send` prints its number, and `loadvm_process_command` prints its name.
package enum StreamCommand: UInt16, CaseIterable, EventArgument {
    case openReturnPath = 1
    case ping
    case postcopyAdvise
    case postcopyListen
    case postcopyRun
    case postcopyRAMDiscard
    case packaged
    case enableCOLO
    case postcopyResume
    case recvBitmap
    case switchoverStart

    package static let placeholder = StreamCommand.openReturnPath

    /// The name as `loadvm_process_command` prints it.
    package var name: String { Name(self).rawValue }

    enum Name: String, TraceWord {
        case openReturnPath = "OPEN_RETURN_PATH"
        case ping = "PING"
        case postcopyAdvise = "POSTCOPY_ADVISE"
        case postcopyListen = "POSTCOPY_LISTEN"
        case postcopyRun = "POSTCOPY_RUN"
        case postcopyRAMDiscard = "POSTCOPY_RAM_DISCARD"
        case packaged = "PACKAGED"
        case enableCOLO = "ENABLE_COLO"
        case postcopyResume = "POSTCOPY_RESUME"
        case recvBitmap = "RECV_BITMAP"
        case switchoverStart = "SWITCHOVER_START"
        case nameless = "(null)"

        init(_ command: StreamCommand?) { self = command.map { Name.allCases[Int($0.rawValue) - 1] } ?? .nameless }
        var command: StreamCommand? { self == .nameless ? nil : StreamCommand.allCases[Name.allCases.firstIndex(of: self)!] }
    }
}

/// A message of the return path, by the number that `migrate_send_rp_message` prints.
package enum ReturnPathMessage: UInt16, CaseIterable, EventArgument {
    case shut = 1
    case pong
    case reqPagesID
    case reqPages
    case recvBitmap
    case resumeAck
    case switchoverAck

    package static let placeholder = ReturnPathMessage.shut
}

/// The type byte of a section, which `qemu_loadvm_state_section` prints. A broken stream can hold any byte.
package struct SectionType: RawRepresentable, EventArgument {
    package var rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let eof = SectionType(rawValue: 0)
    package static let start = SectionType(rawValue: 1)
    package static let part = SectionType(rawValue: 2)
    package static let end = SectionType(rawValue: 3)
    package static let full = SectionType(rawValue: 4)
    package static let command = SectionType(rawValue: 8)
    package static let placeholder = eof
}

/// The tag of a piece of device state: its first eight bytes, which `vfio_load_state` prints. END_OF_STATE is never printed (10.0 to 11.1).
package struct VFIOLoadTag: RawRepresentable, EventArgument {
    package var rawValue: UInt64
    package init(rawValue: UInt64) { self.rawValue = rawValue }
    package static let config = VFIOLoadTag(rawValue: 0xffff_ffff_ef10_0002)
    package static let setup = VFIOLoadTag(rawValue: 0xffff_ffff_ef10_0003)
    package static let data = VFIOLoadTag(rawValue: 0xffff_ffff_ef10_0004)
    /// INIT_DATA_SENT: the *marker*, which a destination answers with its approval.
    package static let initDataSent = VFIOLoadTag(rawValue: 0xffff_ffff_ef10_0005)
    package static let configLoadReady = VFIOLoadTag(rawValue: 0xffff_ffff_ef10_0006)
    package static let placeholder = setup
}

/// The purpose of a data session of the mock.
package enum SessionPurpose: String, TraceWord {
    case saving
    case resuming
}

/// A part of the data of a device, as the mock counts it.
package enum DeviceSegment: String, TraceWord {
    case initial
    case dirty
    case final
}

/// What a descriptor of a recording is.
package enum RecordedDescriptor: String, TraceWord {
    case iommufd
    case container
    case group
    case device
    case data
}

/// The direction of an access to a region of a recorded device.
package enum RecordedAccess: String, TraceWord {
    case read
    case write
}

/// The thread that prints an event. Since 10.1 a line no longer names its thread, so the thread follows from the event.
package enum ThreadRole: Character, CaseIterable, Hashable, Sendable {
    case main = "M"
    case migration = "T"
    case returnPath = "R"
    case listen = "L"
    case multifd = "Q"
    /// More than one thread prints the event.
    case any = "*"
}
