/// The events by which two runs of one cell are compared, and the reason why the others are left out: the whole list, in one place.
///
/// Events of the handshake, the statuses, the run states, the devices, the stream and the return path are compared. Events that depend on
/// time or on the rest of the machine are left out, each with the reason. The switch has no default, so a new event of the vocabulary does
/// not build until it has an entry here.
import MigrationTrace

/// How an event is used in a comparison.
enum ProtocolRelevance: Hashable, Sendable {
    case compared(Topic)
    case leftOut(Reason)

    enum Topic: String, Hashable, Sendable {
        /// Requests, markers, approvals, ACKs, the decision and the last check.
        case handshake
        case status = "status of the migration"
        case runState = "run state of the guest"
        case device = "states and calls of a device"
        case stream = "commands, and sections of the modules that take part"
        case returnPath = "the return path"
        case failure
    }

    enum Reason: String, Hashable, Sendable {
        /// Numbers that differ in each run: how often, how long, how many bytes.
        case timing
        /// Depends on the modules of the machine.
        case machine
        /// A compared event tells the same.
        case redundant
        /// Logged before the migration, or when the program quits.
        case outside = "outside of the migration"
        /// An action of the harness's device script; its effect is compared.
        case script
    }
}

extension Event {
    /// What a comparison makes of the event. Of some events only a part counts:
    ///
    /// - `migrateError`: the error text, with devices named by section idstr.
    /// - `migrationCancel`: after the end of the migration, every program that quits prints it.
    /// - `savevmCommandSend`: without the length; a command that comes once for each block of RAM is compared once.
    /// - `savevmStateIterate`: the number of iterations depends on time.
    /// - `savevmSectionStart`, `savevmSectionEnd`: END and FULL, without the number; the FULL sections of modules that take no part in
    ///   the iteration are one event.
    /// - `ramSaveComplete`: RAM's END says when.
    /// - `migrationBitmapSyncStart`: the last one, with the guest stopped.
    /// - `qemuSavevmQueryPending`, `savevmRequestSwitchoverAck`: the final query, and those that collect requests; the order of exact
    ///   queries and estimates is not compared.
    /// - `migrationThreadLowPending`: without the bytes, which include RAM that the guest dirtied.
    /// - `sourceReturnPathThreadPong`, `sourceReturnPathThreadPostcopyPackageLoaded`, `sourceReturnPathThreadResumeAck`,
    ///   `sourceReturnPathThreadShut`, `sourceReturnPathThreadBadEnd`, `sourceReturnPathThreadEnd`: SHUT 1 as the error that follows from
    ///   it.
    /// - `sourceReturnPathThreadSwitchoverAcked`: each ACK, and an underflow. The number depends on whether the next request was
    ///   collected before or after the ACK.
    /// - `migrateHandleRPReqPages`: depends on which pages the guest touches, and when.
    /// - `qemuLoadvmStateSection`: only the end of the stream; sections have events of their own.
    /// - `qemuLoadvmStateSectionStartFull`, `qemuLoadvmStateSectionPartEnd`: as at the source: START, END and FULL sections; for a PART,
    ///   the events inside it.
    /// - `qemuLoadvmStateSectionCommand`: only commands that fail.
    /// - `migrateSendRPMessage`: all but requests for pages.
    /// - `vfioQueryStopCopySize`: only at set-up.
    /// - `vfioQueryPrecopySize`: at set-up and at the last check; in between only queries that report a REINIT. A failed query in between
    ///   has no effect, and chance decides if there is one before the failure that has.
    /// - `vfioStatePending`: only lines with a request, and those of the final query.
    /// - `vfioStatePendingEstimate`, `vfioStatePendingExact`: only to see that the device keeps working.
    /// - `vfioSaveBlock`: as the sum of bytes before each marker and at the end; not for a device that keeps working, whose sums depend
    ///   on time.
    /// - `vfioSaveBlockPrecopyEmptyHit`: depends on whether another PART section follows the last one with data.
    /// - `vfioSaveIterate`: the end of the initial bytes, if no marker is printed (up to 11.0, or with switchover-ack off).
    /// - `vfioLoadState`: data as sums, as at the source.
    /// - `vfioLoadStateDeviceBufferIncoming`, `vfioLoadStateDeviceBufferStart`, `vfioLoadStateDeviceBufferEnd`,
    ///   `vfioLoadStateDeviceBufferLoadStart`, `vfioLoadStateDeviceBufferLoadEnd`, `vfioLoadStateDeviceBufferStarved`: packets arrive on
    ///   any channel, in any order.
    /// - `deviceCall`: changes of state, and failed calls.
    /// - `deviceSessionBegin`, `deviceSessionEnd`: without its number.
    /// - `devicePrecopyInfo`: only those that report a REINIT.
    /// - `deviceRead`: the sum at the end of STOP_COPY, and failed reads: the size of a read depends on the buffers.
    /// - `deviceLoaded`: initial and final data; dirty data in between depends on how often it was read.
    /// - `recordedState` and the other events of a recorder: a device's own events, or QEMU's, tell the same.
    /// - `deviceHoldBegin`, `deviceHoldEnd`: holding a call at a gate has no effect of its own.
    var relevance: ProtocolRelevance {
        switch self {
        case .migrateSetState, .migrationCallNotifiers, .migrationBlockActivation, .migrationCancel, .migrationCleanup,
            .savevmStateCleanup, .migrationThreadSetupComplete, .migrationThreadAfterLoop, .migrationCompletionVMStop,
            .migrationPrecopyComplete, .postcopyStart, .postcopyStartSetRun, .postcopyPreemptEnabled, .migrationCompletionPostcopyEnd,
            .migrationCompletionPostcopyEndAfterComplete, .loadvmStateSetup, .loadvmStateCleanup, .postcopyRAMListenThreadStart,
            .postcopyRAMListenThreadExit, .qemuLoadvmStatePostMain, .processIncomingMigrationCoEnd,
            .processIncomingMigrationCoPostcopyEndMain:
            .compared(.status)
        case .migrateError, .migrateFDError, .migrationThreadFileErr, .migrationCompletionFileErr, .qemuLoadvmStateSectionCommand,
            .deviceUnknownIoctl:
            .compared(.failure)
        case .runstateSet, .vmStateNotify, .migrateGlobalStatePreSave, .migrateGlobalStatePostLoad:
            .compared(.runState)
        case .vmstateDowntimeCheckpoint, .vmstateDowntimeSave, .vmstateDowntimeLoad, .savevmSectionSkip, .ramDirtyBitmapReloadBegin,
            .ramDirtyBitmapReloadComplete, .loadvmHandleCmdPackaged, .loadvmHandleCmdPackagedReceived, .loadvmHandleRecvBitmap,
            .migrateSendRPRecvBitmap:
            .leftOut(.machine)
        case .savevmStateHeader, .savevmStateSetup, .savevmStateResumePrepare, .savevmSendOpenReturnPath, .savevmSendSwitchoverStart,
            .savevmSendPing, .savevmSendPostcopyListen, .savevmSendPostcopyRun, .savevmSendPostcopyResume, .qemuSavevmSendPostcopyAdvise,
            .qemuSavevmSendPackaged, .savevmCommandSend, .savevmSectionStart, .savevmSectionEnd, .migrationBitmapSyncStart,
            .qemuLoadvmStateSection, .qemuLoadvmStateSectionStartFull, .qemuLoadvmStateSectionPartEnd, .loadvmProcessCommand,
            .loadvmProcessCommandPing, .loadvmHandleCmdPackagedMain, .loadvmPostcopyHandleAdvise, .loadvmPostcopyHandleListen,
            .loadvmPostcopyHandleRun, .loadvmPostcopyHandleResume:
            .compared(.stream)
        case .savevmSendRecvBitmap, .ramSaveComplete, .sourceReturnPathThreadLoopTop, .loadvmPostcopyRAMHandleDiscard, .deviceDrained:
            .leftOut(.redundant)
        case .savevmStateIterate, .migrationBitmapSyncEnd, .migrationTransferredBytes, .migratePendingEstimate, .migratePendingExact,
            .migrateTransferred, .migrationRateLimitPre, .migrationRateLimitPost, .migrateHandleRPReqPages, .vfioGetDirtyBitmap,
            .vfioContainerQueryDirtyBitmap, .vfioSaveBlockPrecopyEmptyHit, .vfioLoadStateDeviceBufferIncoming,
            .vfioLoadStateDeviceBufferStart, .vfioLoadStateDeviceBufferEnd, .vfioLoadStateDeviceBufferLoadStart,
            .vfioLoadStateDeviceBufferLoadEnd, .vfioLoadStateDeviceBufferStarved:
            .leftOut(.timing)
        case .qemuSavevmQueryPending, .savevmRequestSwitchoverAck, .migrationThreadLowPending, .sourceReturnPathThreadSwitchoverAcked,
            .migrationRequestSwitchoverAckLegacy, .loadvmStateSwitchoverAckNeeded, .loadvmApproveSwitchover,
            .loadvmApproveSwitchoverCounted, .loadvmApproveSwitchoverLegacy, .vfioQueryPrecopySize,
            .vfioQueryPrecopySizeRequestSwitchoverAck, .vfioStatePending, .vfioSendInitDataFlag, .vfioSaveIterate, .vfioLoadState:
            .compared(.handshake)
        case .openReturnPathOnSource, .openReturnPathOnSourceContinue, .sourceReturnPathThreadEntry, .sourceReturnPathThreadPong,
            .sourceReturnPathThreadPostcopyPackageLoaded, .sourceReturnPathThreadResumeAck, .sourceReturnPathThreadShut,
            .sourceReturnPathThreadBadEnd, .sourceReturnPathThreadEnd, .migrationReturnPathEndBefore, .migrationReturnPathEndAfter,
            .migrateSendRPMessage:
            .compared(.returnPath)
        case .vfioMigrationInit, .vfioMigrationRealize, .deviceOpen, .deviceClose:
            .leftOut(.outside)
        case .vfioMigrationSetState, .vfioMigrationSetDeviceState, .vfioMigrationStateSet, .vfioMigrationStateNotifier,
            .vfioMigrationStatusNotified, .vfioVMStateChangePrepare,
            .vfioVMStateChange, .vfioSaveSetup, .vfioQueryStopCopySize, .vfioStatePendingEstimate, .vfioStatePendingExact,
            .vfioSaveIterateStart, .vfioSaveBlock, .vfioSaveCompletePrecopyStart, .vfioSaveCompletePrecopy,
            .vfioSaveCompletePrecopyThreadStart, .vfioSaveCompletePrecopyThreadEnd, .vfioSaveDeviceConfigState, .vfioSaveCleanup,
            .vfioLoadStateDeviceData, .vfioLoadDeviceConfigStateStart, .vfioLoadDeviceConfigStateEnd, .vfioLoadBufsThreadStart,
            .vfioLoadBufsThreadEnd, .vfioLoadCleanup, .deviceCall, .deviceState, .deviceReset, .deviceSessionBegin, .deviceSessionEnd,
            .devicePrecopyInfo, .deviceRead, .deviceWrite, .deviceLoaded:
            .compared(.device)
        case .deviceInjected, .deviceHoldBegin, .deviceHoldEnd:
            .leftOut(.script)
        case .deviceDeparted:
            .compared(.failure)
        case .recordedBegin, .recordedEnd, .recordedOpen, .recordedClose, .recordedIoctl, .recordedState, .recordedPrecopyInfo,
            .recordedDataSize, .recordedRead, .recordedWrite, .recordedAccess:
            .leftOut(.redundant)
        }
    }
}
