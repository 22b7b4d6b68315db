/// A migration event: one trace line of QEMU, of our engine, or of a mock device, with typed arguments.
///
/// The names are QEMU's own in camel case: `migrate_set_state` is `migrateSetState`. Where a text differs
/// between releases, each form is either a case of its own or an optional argument; the comment says which
/// release prints which. `EventFormat.swift` holds name, text and thread of each, once, for reading and printing.
///
/// Sizes are bytes. `device` is the VFIO device's name (host PCI address, mdev UUID, or `id=`); it differs between
/// the sides. `idstr` is the section's name (`0000:00:01.0/vfio`); it is equal on both sides.
package enum Event: Hashable, Sendable {
    // MARK: State, both sides

    case migrateSetState(MigrationStatus)
    /// Each error stored or tried to be stored; the first one is the one kept.
    case migrateError(String)
    /// 11.0+: 0 setup, 1 postcopy start, 2 done, 3 failed.
    case migrationCallNotifiers(type: Int64)
    case migrationBlockActivation(BlockActivation)
    case runstateSet(from: Int64, RunState, to: Int64, RunState)
    case vmStateNotify(running: Bool, reason: Int64, RunState)
    /// Cancel was asked for; also printed when QEMU quits, so alone it proves nothing.
    case migrationCancel
    case migrationCleanup
    case savevmStateCleanup
    case migrationThreadSetupComplete
    case migrationThreadAfterLoop
    case migrationThreadFileErr
    case migrationCompletionFileErr
    case vmstateDowntimeCheckpoint(String)
    /// `downtime` in microseconds (11.1.3).
    case vmstateDowntimeSave(DowntimeKind, idstr: String, instance: Int64, downtime: Int64)
    case vmstateDowntimeLoad(DowntimeKind, idstr: String, instance: Int64, downtime: Int64)
    case migrateGlobalStatePreSave(String)
    case migrateGlobalStatePostLoad(String)

    // MARK: Source, sending

    case savevmStateHeader
    case savevmSendOpenReturnPath
    case savevmSendSwitchoverStart
    case savevmSendPing(UInt64)
    case savevmSendPostcopyListen
    case savevmSendPostcopyRun
    case savevmSendPostcopyResume
    case qemuSavevmSendPostcopyAdvise
    case qemuSavevmSendPackaged
    case savevmSendRecvBitmap(block: String)
    /// PACKAGED is printed after the commands inside the package.
    case savevmCommandSend(number: UInt16, length: Int64)
    case savevmStateSetup
    case savevmStateIterate
    case savevmStateResumePrepare
    /// Before a PART, END or FULL section, not before START.
    case savevmSectionStart(idstr: String, section: UInt32)
    /// `result` of a PART: 1 nothing left, 0 more, negative an error.
    case savevmSectionEnd(idstr: String, section: UInt32, result: Int64)
    case savevmSectionSkip(idstr: String, section: UInt32)
    /// 10.1+: before (`done` 0) and after (1) RAM's END.
    case ramSaveComplete(dirtyPages: UInt64, done: Int64)
    case migrationBitmapSyncStart
    case migrationBitmapSyncEnd(dirtyPages: UInt64)
    case migrationTransferredBytes(qemuFile: UInt64, multifd: UInt64, rdma: UInt64)

    // MARK: Source, decision

    /// First posting of the per-device series only: a module requests an ACK, at the stage SETUP, PENDING_EXACT or COMPLETE; `pending` after it.
    case savevmRequestSwitchoverAck(stage: String, requester: String, pending: UInt32)
    /// 11.1: the end of each query.
    case qemuSavevmQueryPending(PendingQuery)
    /// Up to 11.0.
    case migratePendingEstimate(size: UInt64, precopy: UInt64, postcopy: UInt64)
    /// Up to 11.0.
    case migratePendingExact(size: UInt64, precopy: UInt64, postcopy: UInt64)
    case migrateTransferred(TransferWindow)
    case migrationRateLimitPre(milliseconds: Int64)
    case migrationRateLimitPost(urgent: Int64)
    /// The decision to complete.
    case migrationThreadLowPending(size: UInt64)
    case migrationCompletionVMStop(result: Int64)
    case migrationPrecopyComplete
    case postcopyStart
    case postcopyStartSetRun
    case postcopyPreemptEnabled(Int64)
    case migrationCompletionPostcopyEnd
    case migrationCompletionPostcopyEndAfterComplete

    // MARK: Source, return path

    case openReturnPathOnSource
    case openReturnPathOnSourceContinue
    case sourceReturnPathThreadEntry
    case sourceReturnPathThreadLoopTop
    case sourceReturnPathThreadPong(UInt64)
    /// 10.2+: after PONG 0x42.
    case sourceReturnPathThreadPostcopyPackageLoaded
    /// An ACK was counted. 11.1: the counter after it, 4294967295 being the underflow; up to 11.0 no number.
    case sourceReturnPathThreadSwitchoverAcked(pending: UInt32?)
    case sourceReturnPathThreadResumeAck(UInt64)
    case sourceReturnPathThreadShut(UInt64)
    case sourceReturnPathThreadBadEnd
    case sourceReturnPathThreadEnd
    case migrateHandleRPReqPages(block: String, start: UInt64, length: UInt64)
    case ramDirtyBitmapReloadBegin(block: String)
    case ramDirtyBitmapReloadComplete(block: String)
    case migrationReturnPathEndBefore
    case migrationReturnPathEndAfter

    // MARK: Destination

    case loadvmStateSetup
    case loadvmStateCleanup
    /// 11.1, legacy mode with the capability on; `pending` after counting up.
    case migrationRequestSwitchoverAckLegacy(requester: String, pending: UInt32)
    /// Up to 11.0.
    case loadvmStateSwitchoverAckNeeded(pending: UInt32)
    case qemuLoadvmStateSection(SectionType)
    case qemuLoadvmStateSectionStartFull(section: UInt32, idstr: String, instance: UInt32, version: UInt32)
    case qemuLoadvmStateSectionPartEnd(section: UInt32)
    case qemuLoadvmStateSectionCommand(result: Int64)
    /// nil is printed `(null)`: a number without a command, as 8 is since 11.0.
    case loadvmProcessCommand(StreamCommand?, length: Int64)
    case loadvmProcessCommandPing(UInt64)
    case loadvmHandleCmdPackaged(length: UInt64)
    case loadvmHandleCmdPackagedReceived(length: Int64)
    case loadvmHandleCmdPackagedMain(result: Int64)
    case loadvmHandleRecvBitmap(block: String)
    case loadvmPostcopyHandleAdvise
    case loadvmPostcopyHandleListen(step: String)
    case loadvmPostcopyHandleRun
    case loadvmPostcopyHandleResume
    case loadvmPostcopyRAMHandleDiscard
    /// A marker was accepted: 11.1, new mode.
    case loadvmApproveSwitchover(approver: String)
    /// A marker was accepted: up to 11.0; `pending` after counting down.
    case loadvmApproveSwitchoverCounted(pending: UInt32)
    /// A marker was accepted: 11.1, legacy mode; `pending` after counting down.
    case loadvmApproveSwitchoverLegacy(approver: String, pending: UInt32)
    case migrateSendRPMessage(ReturnPathMessage, length: Int64)
    /// The text says `0x` and then decimal digits (10.0 to 11.1).
    case migrateSendRPRecvBitmap(block: String, size: Int64)
    case postcopyRAMListenThreadStart
    case postcopyRAMListenThreadExit
    case qemuLoadvmStatePostMain(result: Int64)
    /// `postcopyState` up to 10.1.
    case processIncomingMigrationCoEnd(result: Int64, postcopyState: Int64?)
    case processIncomingMigrationCoPostcopyEndMain

    // MARK: VFIO, both sides

    /// 11.1. `flags`: 1 stop-copy, 2 P2P, 4 pre-copy.
    case vfioMigrationInit(device: String, flags: UInt64, precopyInfoV2: Bool, dirtyPages: Bool)
    case vfioMigrationRealize(device: String)
    /// At entry, also when nothing is to be done.
    case vfioMigrationSetState(device: String, VFIOState, recover: VFIOState)
    /// The state was set.
    case vfioMigrationSetDeviceState(device: String, VFIOState)
    /// 10.0 to 10.2: 0 setup, 1 done, 2 failed; 11.0+: 0 setup, 1 postcopy start, 2 done, 3 failed.
    case vfioMigrationStateNotifier(device: String, state: Int64)
    case vfioVMStateChangePrepare(device: String, running: Bool, reason: RunState, VFIOState)
    case vfioVMStateChange(device: String, running: Bool, reason: RunState, VFIOState)
    case vfioGetDirtyBitmap(iova: UInt64, size: UInt64, bitmapSize: UInt64, start: UInt64, dirtyPages: UInt64)
    case vfioContainerQueryDirtyBitmap(
        iova: UInt64, size: UInt64, backendFlag: UInt64, bitmapSize: UInt64, guest: UInt64, dirtyPages: UInt64)

    // MARK: VFIO, source

    case vfioSaveSetup(device: String, dataBufferSize: UInt64)
    /// 11.1.
    case vfioQueryStopCopySize(device: String, size: UInt64, result: Int64)
    /// 11.1: every GET_PRECOPY_INFO.
    case vfioQueryPrecopySize(device: String, initial: UInt64, dirty: UInt64, reinit: Bool, result: Int64)
    /// 11.1: REINIT made a new request.
    case vfioQueryPrecopySizeRequestSwitchoverAck(device: String)
    /// 11.1: once per device and query, before the core's query line.
    case vfioStatePending(DevicePending)
    /// Up to 11.0; `precopy` and `postcopy` are running sums over all modules.
    case vfioStatePendingEstimate(device: String, precopy: UInt64, postcopy: UInt64, initial: UInt64, dirty: UInt64)
    /// Up to 11.0; `precopy` and `postcopy` are running sums over all modules.
    case vfioStatePendingExact(
        device: String, precopy: UInt64, postcopy: UInt64, stopCopy: UInt64, initial: UInt64, dirty: UInt64)
    case vfioSaveIterateStart(device: String)
    case vfioSaveBlock(device: String, size: Int64)
    case vfioSaveBlockPrecopyEmptyHit(device: String)
    /// 11.1: the marker INIT_DATA_SENT was written.
    case vfioSendInitDataFlag(device: String)
    case vfioSaveIterate(device: String, initial: UInt64, dirty: UInt64)
    case vfioSaveCompletePrecopyStart(device: String)
    case vfioSaveCompletePrecopy(device: String, result: Int64)
    case vfioSaveCompletePrecopyThreadStart(device: String, idstr: String, instance: UInt32)
    case vfioSaveCompletePrecopyThreadEnd(device: String, result: Int64)
    case vfioSaveDeviceConfigState(device: String)
    case vfioSaveCleanup(device: String)

    // MARK: VFIO, destination

    case vfioLoadState(device: String, VFIOLoadTag)
    case vfioLoadStateDeviceData(device: String, size: UInt64, result: Int64)
    case vfioLoadDeviceConfigStateStart(device: String)
    case vfioLoadDeviceConfigStateEnd(device: String)
    case vfioLoadBufsThreadStart(device: String)
    case vfioLoadBufsThreadEnd(device: String)
    case vfioLoadStateDeviceBufferIncoming(device: String, index: UInt32)
    case vfioLoadStateDeviceBufferStart(device: String)
    case vfioLoadStateDeviceBufferEnd(device: String)
    case vfioLoadStateDeviceBufferLoadStart(device: String, index: UInt32)
    case vfioLoadStateDeviceBufferLoadEnd(device: String, index: UInt32)
    case vfioLoadStateDeviceBufferStarved(device: String, index: UInt32)
    case vfioLoadCleanup(device: String)

    // MARK: The mock device

    case deviceOpen(device: String, flags: UInt64, reinit: Bool)
    /// A call without an event of its own. `result`, here and below: 0 or more, or a negative errno.
    case deviceCall(device: String, call: String, result: Int64)
    case deviceState(device: String, from: VFIOState, to: VFIOState)
    case deviceSessionBegin(device: String, SessionPurpose, session: UInt64)
    case deviceSessionEnd(device: String, session: UInt64)
    case devicePrecopyInfo(DevicePrecopyInfo)
    case deviceRead(device: String, size: UInt64, result: Int64)
    case deviceWrite(device: String, size: UInt64, result: Int64)
    /// The initial bytes reached 0; `total` bytes were read so far.
    case deviceDrained(device: String, total: UInt64)
    /// A segment arrived whole.
    case deviceLoaded(device: String, DeviceSegment, size: UInt64, total: UInt64)
    /// A rule of the device script fired; `line` is the script's.
    case deviceInjected(device: String, line: UInt64, action: String, value: UInt64)
    case deviceHoldBegin(device: String, gate: String)
    case deviceHoldEnd(device: String, gate: String)
    case deviceUnknownIoctl(device: String, request: UInt64)
    case deviceReset(device: String, from: VFIOState)
    case deviceClose(device: String, VFIOState)
}

extension Event {
    /// Whether the harness made this happen, by a device script, rather than observed it.
    package var isInjected: Bool {
        switch self {
        case .deviceInjected, .deviceHoldBegin, .deviceHoldEnd: true
        default: false
        }
    }
}

/// `qemu_savevm_query_pending` (11.1).
package struct PendingQuery: Hashable, Sendable {
    package var exact = false
    package var final = false
    package var precopy: UInt64 = 0
    package var stopCopy: UInt64 = 0
    package var postcopy: UInt64 = 0
    package var total: UInt64 = 0
    /// How many ACKs this query's modules request.
    package var collectedAcks: UInt32 = 0
    /// The source's counter, read when the line is printed: it may already be smaller by one ACK whose own line comes later.
    package var pendingAcks: UInt32 = 0

    package init() {}
}

/// `vfio_state_pending` (11.1).
package struct DevicePending: Hashable, Sendable {
    package var device = ""
    package var stopCopy: UInt64 = 0
    package var initial: UInt64 = 0
    package var dirty: UInt64 = 0
    /// This query collects the device's request.
    package var requestsAck = false
    package var exact = false
    package var final = false

    package init() {}
}

/// `migrate_transferred`: the end of a window of at least 100 ms.
package struct TransferWindow: Hashable, Sendable {
    package var transferred: UInt64 = 0
    /// Milliseconds.
    package var timeSpent: UInt64 = 0
    /// Up to 11.0 bytes per millisecond; 11.1 Mbit/s.
    package var bandwidth: UInt64 = 0
    /// Bytes per millisecond: 11.1 the value used, up to 11.0 the user's parameter, 0 when not set.
    package var switchoverBandwidth: UInt64 = 0
    /// The threshold now in force.
    package var maxSize: Int64 = 0

    package init() {}
}

/// `device_precopy_info` of the mock device.
package struct DevicePrecopyInfo: Hashable, Sendable {
    package var device = ""
    package var initial: UInt64 = 0
    package var dirty: UInt64 = 0
    package var reinit = false
    package var result: Int64 = 0

    package init() {}
}
