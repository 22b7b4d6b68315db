// swift-format-ignore-file
// Generated from harness/events/trace-events by `swift run EventGenerator`: do not edit.

/// A migration event: one trace line of QEMU, of the engine, or of a mock device, with typed arguments.
///
/// A case has the event's name in camel case: `migrate_set_state` is `migrateSetState`. Where the text differs between releases, each
/// form is either a case of its own or an optional argument. Sizes are bytes. `device` is the VFIO device's name (host PCI address, mdev
/// UUID, or `id=`), which differs between the sides; `idstr` is the section's name (`0000:00:01.0/vfio`), which is equal on both sides.
package enum Event: Hashable, Sendable {
    // MARK: Migration: state of both sides

    /// The migration has changed its status.
    case migrateSetState(MigrationStatus)
    /// An error is stored, or would have been stored if there were none yet: the first error is the one that the migration keeps.
    case migrateError(String)
    /// The migration fails, as 8.1 to 9.0 print it.
    /// Before 9.1.
    case migrateFDError(String)
    /// The migration calls its notifiers: 0 setup, 1 postcopy start, 2 done, 3 failed.
    /// Since 11.0.
    case migrationCallNotifiers(type: Int64)
    /// The block devices are activated or inactivated.
    case migrationBlockActivation(BlockActivation)
    /// The guest changes its run state. The numbers are those of the enumeration, which differ between releases.
    case runstateSet(from: Int64, RunState, to: Int64, RunState)
    /// The callbacks for a change of the VM state are called next.
    case vmStateNotify(running: Bool, reason: Int64, RunState)

    // MARK: Migration: course of both sides

    /// A cancel was requested. QEMU prints this also when it quits, so the event alone proves nothing.
    case migrationCancel
    /// The clean-up of the migration begins, before or after the final status.
    case migrationCleanup
    /// The modules clean up.
    case savevmStateCleanup
    /// The source is active: its modules are set up.
    case migrationThreadSetupComplete
    /// The source has left the iteration loop.
    case migrationThreadAfterLoop
    /// The forward channel had an error during the iteration.
    case migrationThreadFileErr
    /// The forward channel had an error during the completion.
    case migrationCompletionFileErr
    /// A step of the downtime is reached, as `src-downtime-start`.
    case vmstateDowntimeCheckpoint(String)
    /// How long a section took to save with the guest stopped. `downtime` is in microseconds (10.0.13, 11.1.3).
    case vmstateDowntimeSave(DowntimeKind, idstr: String, instance: Int64, downtime: Int64)
    /// How long a section took to load. `downtime` is in microseconds (10.0.13, 11.1.3).
    case vmstateDowntimeLoad(DowntimeKind, idstr: String, instance: Int64, downtime: Int64)
    /// The run state that the source sends.
    case migrateGlobalStatePreSave(String)
    /// The run state that the destination received.
    case migrateGlobalStatePostLoad(String)

    // MARK: Migration: source, commands and steps

    /// The header of the stream is written next.
    case savevmStateHeader
    case savevmSendOpenReturnPath
    case savevmSendSwitchoverStart
    /// The source sends PING with this value.
    case savevmSendPing(UInt64)
    case savevmSendPostcopyListen
    case savevmSendPostcopyRun
    case savevmSendPostcopyResume
    case qemuSavevmSendPostcopyAdvise
    case qemuSavevmSendPackaged
    /// The source asks for the received bitmap of a RAM block.
    case savevmSendRecvBitmap(block: String)
    /// The source sends a command, by its number. PACKAGED is printed after the commands inside the package.
    case savevmCommandSend(number: UInt16, length: Int64)
    /// The START sections are written next.
    case savevmStateSetup
    /// An iteration over the modules begins.
    case savevmStateIterate
    case savevmStateResumePrepare

    // MARK: Migration: source, sections and memory

    /// A PART, END or FULL section begins. A START section prints nothing.
    case savevmSectionStart(idstr: String, section: UInt32)
    /// A section ends. `result` of a PART: 1 if nothing is left, 0 if more is left, negative for an error.
    case savevmSectionEnd(idstr: String, section: UInt32, result: Int64)
    /// A FULL section is left out because the module does not need it.
    case savevmSectionSkip(idstr: String, section: UInt32)
    /// Printed before (`done` 0) and after (`done` 1) the END of RAM.
    /// Since 10.1.
    case ramSaveComplete(dirtyPages: UInt64, done: Int64)
    case migrationBitmapSyncStart
    case migrationBitmapSyncEnd(dirtyPages: UInt64)
    /// Bytes transferred so far, by channel.
    case migrationTransferredBytes(qemuFile: UInt64, multifd: UInt64, rdma: UInt64)

    // MARK: Migration: source, decision

    /// A module requests an ACK, at the stage SETUP, PENDING_EXACT or COMPLETE. `pending` is the counter after the request.
    /// Since v1, before v2.
    case savevmRequestSwitchoverAck(stage: String, requester: String, pending: UInt32)
    /// A query of the pending bytes ends.
    /// Since v1.
    case qemuSavevmQueryPending(PendingQuery)
    /// An estimated query of the pending bytes ends.
    /// Before v1.
    case migratePendingEstimate(size: UInt64, precopy: UInt64, postcopy: UInt64)
    /// An exact query of the pending bytes ends.
    /// Before v1.
    case migratePendingExact(size: UInt64, precopy: UInt64, postcopy: UInt64)
    /// A window of at least 100 ms ends, and the threshold is computed anew.
    case migrateTransferred(TransferWindow)
    /// The source sleeps because the budget of this window is spent.
    case migrationRateLimitPre(milliseconds: Int64)
    /// The source has slept; `urgent` is 1 if a page request woke it.
    case migrationRateLimitPost(urgent: Int64)
    /// The source decides to complete; `size` is the total of pending bytes.
    case migrationThreadLowPending(size: UInt64)
    /// The source has stopped the guest, and all callbacks have returned.
    case migrationCompletionVMStop(result: Int64)
    /// The source completes precopy: all ACKs were counted, and SWITCHOVER_START is sent next. Postcopy prints this too.
    case migrationPrecopyComplete
    /// The switchover to postcopy begins.
    case postcopyStart
    case postcopyStartSetRun
    /// The package was sent; the value is 1 with postcopy-preempt.
    case postcopyPreemptEnabled(Int64)
    /// The last END sections of postcopy are written next.
    case migrationCompletionPostcopyEnd
    case migrationCompletionPostcopyEndAfterComplete

    // MARK: Migration: source, return path

    /// The return-path thread is created next.
    case openReturnPathOnSource
    /// The return-path thread was created.
    case openReturnPathOnSourceContinue
    case sourceReturnPathThreadEntry
    /// The next message is read.
    case sourceReturnPathThreadLoopTop
    /// PONG was received with this value.
    case sourceReturnPathThreadPong(UInt64)
    /// PONG 0x42 was received: the destination has loaded the package.
    /// Since 10.2.
    case sourceReturnPathThreadPostcopyPackageLoaded
    /// An ACK was counted. `pending` is the counter after the ACK (since v1); 4294967295 is an underflow. Older releases print no number.
    case sourceReturnPathThreadSwitchoverAcked(pending: UInt32?)
    case sourceReturnPathThreadResumeAck(UInt64)
    /// SHUT was received; 0 means that the destination loaded everything.
    case sourceReturnPathThreadShut(UInt64)
    /// The thread ends because of an error.
    case sourceReturnPathThreadBadEnd
    /// The thread ends; always its last event.
    case sourceReturnPathThreadEnd
    /// The destination requests pages of a RAM block; `(null)` for the block of the request before.
    case migrateHandleRPReqPages(block: String, start: UInt64, length: UInt64)
    case ramDirtyBitmapReloadBegin(block: String)
    case ramDirtyBitmapReloadComplete(block: String)
    /// The return-path thread is joined next.
    case migrationReturnPathEndBefore
    /// The return-path thread was joined.
    case migrationReturnPathEndAfter

    // MARK: Migration: destination, sections and commands

    /// The modules are set up for loading next.
    case loadvmStateSetup
    case loadvmStateCleanup
    /// A module requests an ACK in legacy mode, with the capability on. `pending` is the counter after the request.
    /// Since v1.
    case migrationRequestSwitchoverAckLegacy(requester: String, pending: UInt32)
    /// All modules are set up; `pending` is the number of those that request an ACK.
    /// Before v1.
    case loadvmStateSwitchoverAckNeeded(pending: UInt32)
    /// A section begins, by its type byte.
    case qemuLoadvmStateSection(SectionType)
    /// A START or FULL section begins.
    case qemuLoadvmStateSectionStartFull(section: UInt32, idstr: String, instance: UInt32, version: UInt32)
    /// A PART or END section begins.
    case qemuLoadvmStateSectionPartEnd(section: UInt32)
    /// A command was obeyed: 1 leaves the loop, a negative result is an error.
    case qemuLoadvmStateSectionCommand(result: Int64)
    /// A command was received, by its name. `(null)` is a number without a command, as 8 is since 11.0.
    case loadvmProcessCommand(StreamCommand?, length: Int64)
    case loadvmProcessCommandPing(UInt64)
    case loadvmHandleCmdPackaged(length: UInt64)
    case loadvmHandleCmdPackagedReceived(length: Int64)
    case loadvmHandleCmdPackagedMain(result: Int64)
    case loadvmHandleRecvBitmap(block: String)

    // MARK: Migration: destination, postcopy and answers

    case loadvmPostcopyHandleAdvise
    /// A step of the command LISTEN: enter, after discard, after uffd, return.
    case loadvmPostcopyHandleListen(step: String)
    case loadvmPostcopyHandleRun
    case loadvmPostcopyHandleResume
    case loadvmPostcopyRAMHandleDiscard
    /// A marker was accepted in per-device mode.
    /// Since v1.
    case loadvmApproveSwitchover(approver: String)
    /// A marker was accepted. `pending` is the counter after the marker.
    /// Before v1.
    case loadvmApproveSwitchoverCounted(pending: UInt32)
    /// A marker was accepted in legacy mode. `pending` is the counter after the marker.
    /// Since v1.
    case loadvmApproveSwitchoverLegacy(approver: String, pending: UInt32)
    /// The destination sends a message of the return path.
    case migrateSendRPMessage(ReturnPathMessage, length: Int64)
    /// The destination sends the received bitmap of a RAM block. The text has `0x` and then decimal digits (10.0 to 11.1).
    case migrateSendRPRecvBitmap(block: String, size: Int64)
    case postcopyRAMListenThreadStart
    case postcopyRAMListenThreadExit
    /// The main loop of loading has ended.
    case qemuLoadvmStatePostMain(result: Int64)
    /// The incoming migration has ended. Releases up to 10.1 print `postcopyState`.
    case processIncomingMigrationCoEnd(result: Int64, postcopyState: Int64?)
    case processIncomingMigrationCoPostcopyEndMain

    // MARK: VFIO: both sides

    /// A device is opened for migration. `flags`: 1 stop-copy, 2 P2P, 4 pre-copy.
    /// Since v1.
    case vfioMigrationInit(device: String, flags: UInt64, precopyInfoV2: Bool, dirtyPages: Bool)
    case vfioMigrationRealize(device: String)
    /// A new device state is requested, even if the device has that state already.
    case vfioMigrationSetState(device: String, VFIOState, recover: VFIOState)
    /// The device has taken the state, as 8.1 to 9.0 print it.
    /// Before 9.1.
    case vfioMigrationStateSet(device: String, VFIOState)
    /// The device has taken the state.
    case vfioMigrationSetDeviceState(device: String, VFIOState)
    /// 10.0 to 10.2: 0 setup, 1 done, 2 failed. Since 11.0: 0 setup, 1 postcopy start, 2 done, 3 failed.
    case vfioMigrationStateNotifier(device: String, state: Int64)
    /// As 8.1 to 9.0 print it.
    /// Before 9.1.
    case vfioMigrationStatusNotified(device: String, MigrationStatus)
    /// The callback before a change of the VM state returns; only devices with P2P have one. The state is the requested one.
    case vfioVMStateChangePrepare(device: String, running: Bool, reason: RunState, VFIOState)
    /// The callback for a change of the VM state returns. The state is the requested one.
    case vfioVMStateChange(device: String, running: Bool, reason: RunState, VFIOState)
    case vfioGetDirtyBitmap(iova: UInt64, size: UInt64, bitmapSize: UInt64, start: UInt64, dirtyPages: UInt64)
    case vfioContainerQueryDirtyBitmap(
        iova: UInt64, size: UInt64, backendFlag: UInt64, bitmapSize: UInt64, guest: UInt64, dirtyPages: UInt64
    )

    // MARK: VFIO: source, set-up and queries

    case vfioSaveSetup(device: String, dataBufferSize: UInt64)
    /// The device was asked for its stop-copy size.
    /// Since v1.
    case vfioQueryStopCopySize(device: String, size: UInt64, result: Int64)
    /// The device was asked for its precopy sizes (VFIO_MIG_GET_PRECOPY_INFO).
    /// Since v1.
    case vfioQueryPrecopySize(device: String, initial: UInt64, dirty: UInt64, reinit: Bool, result: Int64)
    /// A REINIT made a new request.
    /// Since v1.
    case vfioQueryPrecopySizeRequestSwitchoverAck(device: String)
    /// Printed once for each device in a query, before the line of the query.
    /// Since v1.
    case vfioStatePending(DevicePending)
    /// `precopy` and `postcopy` are running sums over all modules.
    /// Before v1.
    case vfioStatePendingEstimate(device: String, precopy: UInt64, postcopy: UInt64, initial: UInt64, dirty: UInt64)
    /// `precopy` and `postcopy` are running sums over all modules.
    /// Before v1.
    case vfioStatePendingExact(device: String, precopy: UInt64, postcopy: UInt64, stopCopy: UInt64, initial: UInt64, dirty: UInt64)

    // MARK: VFIO: source, sending

    /// The first PART section of the device begins.
    case vfioSaveIterateStart(device: String)
    /// A block of device data was written.
    case vfioSaveBlock(device: String, size: Int64)
    /// A read found no data, for the first time or for the first time since a read found some.
    case vfioSaveBlockPrecopyEmptyHit(device: String)
    /// The marker INIT_DATA_SENT was written.
    /// Since v1.
    case vfioSendInitDataFlag(device: String)
    case vfioSaveIterate(device: String, initial: UInt64, dirty: UInt64)
    case vfioSaveCompletePrecopyStart(device: String)
    case vfioSaveCompletePrecopy(device: String, result: Int64)
    /// Since 10.0.
    case vfioSaveCompletePrecopyThreadStart(device: String, idstr: String, instance: UInt32)
    /// Since 10.0.
    case vfioSaveCompletePrecopyThreadEnd(device: String, result: Int64)
    case vfioSaveDeviceConfigState(device: String)
    case vfioSaveCleanup(device: String)

    // MARK: VFIO: destination

    /// A piece of device state was received, by its tag.
    case vfioLoadState(device: String, VFIOLoadTag)
    /// Device data was written to the device; `result` 0 is success.
    case vfioLoadStateDeviceData(device: String, size: UInt64, result: Int64)
    case vfioLoadDeviceConfigStateStart(device: String)
    case vfioLoadDeviceConfigStateEnd(device: String)
    /// Since 10.0.
    case vfioLoadBufsThreadStart(device: String)
    /// Since 10.0.
    case vfioLoadBufsThreadEnd(device: String)
    /// Since 10.0.
    case vfioLoadStateDeviceBufferIncoming(device: String, index: UInt32)
    /// Since 10.0.
    case vfioLoadStateDeviceBufferStart(device: String)
    /// Since 10.0.
    case vfioLoadStateDeviceBufferEnd(device: String)
    /// Since 10.0.
    case vfioLoadStateDeviceBufferLoadStart(device: String, index: UInt32)
    /// Since 10.0.
    case vfioLoadStateDeviceBufferLoadEnd(device: String, index: UInt32)
    /// Since 10.0.
    case vfioLoadStateDeviceBufferStarved(device: String, index: UInt32)
    case vfioLoadCleanup(device: String)

    // MARK: VFIO: mock device, calls

    /// A device was opened.
    case deviceOpen(device: String, flags: UInt64, reinit: Bool)
    /// A call that has no event for itself. `result`, here and below, is 0 or more, or a negative errno.
    case deviceCall(device: String, call: String, result: Int64)
    /// The device has changed its state.
    case deviceState(device: String, from: VFIOState, to: VFIOState)
    case deviceSessionBegin(device: String, SessionPurpose, session: UInt64)
    case deviceSessionEnd(device: String, session: UInt64)
    case devicePrecopyInfo(DevicePrecopyInfo)
    case deviceRead(device: String, size: UInt64, result: Int64)
    case deviceWrite(device: String, size: UInt64, result: Int64)
    /// The device was asked for an ioctl that it does not know.
    case deviceUnknownIoctl(device: String, request: UInt64)
    case deviceReset(device: String, from: VFIOState)
    case deviceClose(device: String, VFIOState)

    // MARK: VFIO: mock device, progress and script

    /// The last of the initial bytes was read; `total` bytes were read so far.
    case deviceDrained(device: String, total: UInt64)
    /// The last byte of a segment was written.
    case deviceLoaded(device: String, DeviceSegment, size: UInt64, total: UInt64)
    /// A rule of the device script was applied; `line` is the line of the script.
    case deviceInjected(device: String, line: UInt64, action: String, value: UInt64)
    /// A call is held until the gate opens.
    case deviceHoldBegin(device: String, gate: String)
    /// The gate has opened, and the call goes on.
    case deviceHoldEnd(device: String, gate: String)

    // MARK: Recorder: descriptors and requests

    /// A process has made its first VFIO call. `contents`: what it reads and writes is kept, too.
    case recordedBegin(process: Int64, contents: Bool)
    /// The process has ended by itself. Without this event it was killed, or the recording was broken off.
    case recordedEnd(calls: UInt64)
    /// A descriptor was opened; `result` is its number, here and below 0 or more, or a negative errno. `found`: it was open before. `took`,
    /// here and below, is the time from call to return in nanoseconds.
    case recordedOpen(device: String, RecordedDescriptor, result: Int64, found: Bool, took: UInt64, path: String)
    case recordedClose(device: String, RecordedDescriptor, descriptor: Int64, result: Int64, took: UInt64)
    /// A request without an event for itself. `input` and `output` are the bytes of the argument in hexadecimal, at most 256, before and
    /// after the call: `-` for none, `=` for an argument that is left as it was.
    case recordedIoctl(device: String, call: String, request: UInt64, result: Int64, took: UInt64, input: String, output: String)

    // MARK: Recorder: migration

    /// The device was asked to enter a state. `data` is the data descriptor that was opened, or -1.
    case recordedState(device: String, VFIOState, result: Int64, data: Int64, took: UInt64)
    /// The device was asked for its precopy sizes. `flags` are those of the answer.
    case recordedPrecopyInfo(RecordedPrecopyInfo)
    /// The device was asked for its stop-copy size.
    case recordedDataSize(device: String, size: UInt64, result: Int64, took: UInt64)
    /// Data was read from the device. `hash` is the XXH3 of the bytes that came, 0 for none.
    case recordedRead(RecordedTransfer)
    /// Data was written to the device.
    case recordedWrite(RecordedTransfer)
    /// A region of the device was read or written by pread() or pwrite(), the configuration space among them.
    case recordedAccess(device: String, RecordedAccess, offset: UInt64, size: UInt64, result: Int64, hash: UInt64, took: UInt64)

    // MARK: Recorder: replayed device

    /// A call is not the one that the recording has at this place. `position` is the number of the recording's entry, 0 behind its end.
    case deviceDeparted(device: String, position: UInt64, expected: String, found: String)
}
