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
    var relevance: ProtocolRelevance {
        switch self {
        // MARK: State
        case .migrateSetState: .compared(.status)
        // The error text, with devices named by section idstr.
        case .migrateError: .compared(.failure)
        case .migrationCallNotifiers: .compared(.status)
        case .migrationBlockActivation: .compared(.status)
        case .runstateSet, .vmStateNotify: .compared(.runState)
        // After the end of the migration, every program that quits prints it.
        case .migrationCancel: .compared(.status)
        case .migrationCleanup, .savevmStateCleanup: .compared(.status)
        case .migrationThreadSetupComplete, .migrationThreadAfterLoop: .compared(.status)
        case .migrationThreadFileErr, .migrationCompletionFileErr: .compared(.failure)
        case .vmstateDowntimeCheckpoint, .vmstateDowntimeSave, .vmstateDowntimeLoad: .leftOut(.machine)
        case .migrateGlobalStatePreSave, .migrateGlobalStatePostLoad: .compared(.runState)

        // MARK: Source, sending
        case .savevmStateHeader, .savevmStateSetup, .savevmStateResumePrepare: .compared(.stream)
        case .savevmSendOpenReturnPath, .savevmSendSwitchoverStart, .savevmSendPing, .savevmSendPostcopyListen, .savevmSendPostcopyRun,
            .savevmSendPostcopyResume, .qemuSavevmSendPostcopyAdvise, .qemuSavevmSendPackaged:
            .compared(.stream)
        // Without the length; a command that comes once for each block of RAM is compared once.
        case .savevmCommandSend: .compared(.stream)
        case .savevmSendRecvBitmap: .leftOut(.redundant)
        // The number of iterations depends on time.
        case .savevmStateIterate: .leftOut(.timing)
        // END and FULL, without the number; the FULL sections of modules that take no part in the iteration are one event.
        case .savevmSectionStart, .savevmSectionEnd: .compared(.stream)
        case .savevmSectionSkip: .leftOut(.machine)
        // RAM's END says when.
        case .ramSaveComplete: .leftOut(.redundant)
        // The last one, with the guest stopped.
        case .migrationBitmapSyncStart: .compared(.stream)
        case .migrationBitmapSyncEnd, .migrationTransferredBytes: .leftOut(.timing)

        // MARK: Source, decision
        // The final query, and those that collect requests; the order of exact queries and estimates is not compared.
        case .qemuSavevmQueryPending, .savevmRequestSwitchoverAck: .compared(.handshake)
        case .migratePendingEstimate, .migratePendingExact: .leftOut(.timing)
        case .migrateTransferred, .migrationRateLimitPre, .migrationRateLimitPost: .leftOut(.timing)
        // Without the bytes, which include RAM that the guest dirtied.
        case .migrationThreadLowPending: .compared(.handshake)
        case .migrationCompletionVMStop, .migrationPrecopyComplete: .compared(.status)
        case .postcopyStart, .postcopyStartSetRun, .postcopyPreemptEnabled, .migrationCompletionPostcopyEnd,
            .migrationCompletionPostcopyEndAfterComplete:
            .compared(.status)

        // MARK: Source, return path
        case .openReturnPathOnSource, .openReturnPathOnSourceContinue, .sourceReturnPathThreadEntry: .compared(.returnPath)
        case .sourceReturnPathThreadLoopTop: .leftOut(.redundant)
        // SHUT 1 as the error that follows from it.
        case .sourceReturnPathThreadPong, .sourceReturnPathThreadPostcopyPackageLoaded, .sourceReturnPathThreadResumeAck,
            .sourceReturnPathThreadShut, .sourceReturnPathThreadBadEnd, .sourceReturnPathThreadEnd:
            .compared(.returnPath)
        // Each ACK, and an underflow. The number depends on whether the next request was collected before or after the ACK.
        case .sourceReturnPathThreadSwitchoverAcked: .compared(.handshake)
        // Depends on which pages the guest touches, and when.
        case .migrateHandleRPReqPages: .leftOut(.timing)
        case .ramDirtyBitmapReloadBegin, .ramDirtyBitmapReloadComplete: .leftOut(.machine)
        case .migrationReturnPathEndBefore, .migrationReturnPathEndAfter: .compared(.returnPath)

        // MARK: Destination
        case .loadvmStateSetup, .loadvmStateCleanup: .compared(.status)
        case .migrationRequestSwitchoverAckLegacy, .loadvmStateSwitchoverAckNeeded: .compared(.handshake)
        // Only the end of the stream; sections have events of their own.
        case .qemuLoadvmStateSection: .compared(.stream)
        // As at the source: START, END and FULL sections; for a PART, the events inside it.
        case .qemuLoadvmStateSectionStartFull, .qemuLoadvmStateSectionPartEnd: .compared(.stream)
        // Only commands that fail.
        case .qemuLoadvmStateSectionCommand: .compared(.failure)
        case .loadvmProcessCommand, .loadvmProcessCommandPing: .compared(.stream)
        case .loadvmHandleCmdPackaged, .loadvmHandleCmdPackagedReceived: .leftOut(.machine)
        case .loadvmHandleCmdPackagedMain: .compared(.stream)
        case .loadvmHandleRecvBitmap: .leftOut(.machine)
        case .loadvmPostcopyHandleAdvise, .loadvmPostcopyHandleListen, .loadvmPostcopyHandleRun, .loadvmPostcopyHandleResume:
            .compared(.stream)
        case .loadvmPostcopyRAMHandleDiscard: .leftOut(.redundant)
        case .loadvmApproveSwitchover, .loadvmApproveSwitchoverCounted, .loadvmApproveSwitchoverLegacy: .compared(.handshake)
        // All but requests for pages.
        case .migrateSendRPMessage: .compared(.returnPath)
        case .migrateSendRPRecvBitmap: .leftOut(.machine)
        case .postcopyRAMListenThreadStart, .postcopyRAMListenThreadExit: .compared(.status)
        case .qemuLoadvmStatePostMain, .processIncomingMigrationCoEnd, .processIncomingMigrationCoPostcopyEndMain: .compared(.status)

        // MARK: VFIO
        case .vfioMigrationInit, .vfioMigrationRealize: .leftOut(.outside)
        case .vfioMigrationSetState, .vfioMigrationSetDeviceState, .vfioMigrationStateNotifier, .vfioVMStateChangePrepare,
            .vfioVMStateChange:
            .compared(.device)
        case .vfioGetDirtyBitmap, .vfioContainerQueryDirtyBitmap: .leftOut(.timing)
        case .vfioSaveSetup: .compared(.device)
        // Only at set-up.
        case .vfioQueryStopCopySize: .compared(.device)
        // At set-up and at the last check; in between only queries that report a REINIT. A failed query in between has no effect, and
        // chance decides if there is one before the failure that has.
        case .vfioQueryPrecopySize: .compared(.handshake)
        case .vfioQueryPrecopySizeRequestSwitchoverAck: .compared(.handshake)
        // Only lines with a request, and those of the final query.
        case .vfioStatePending: .compared(.handshake)
        // Only to see that the device keeps working.
        case .vfioStatePendingEstimate, .vfioStatePendingExact: .compared(.device)
        case .vfioSaveIterateStart: .compared(.device)
        // As the sum of bytes before each marker and at the end; not for a device that keeps working, whose sums depend on time.
        case .vfioSaveBlock: .compared(.device)
        // Depends on whether another PART section follows the last one with data.
        case .vfioSaveBlockPrecopyEmptyHit: .leftOut(.timing)
        case .vfioSendInitDataFlag: .compared(.handshake)
        // The end of the initial bytes, if no marker is printed (up to 11.0, or with switchover-ack off).
        case .vfioSaveIterate: .compared(.handshake)
        case .vfioSaveCompletePrecopyStart, .vfioSaveCompletePrecopy, .vfioSaveCompletePrecopyThreadStart,
            .vfioSaveCompletePrecopyThreadEnd,
            .vfioSaveDeviceConfigState, .vfioSaveCleanup:
            .compared(.device)
        // Data as sums, as at the source.
        case .vfioLoadState: .compared(.handshake)
        case .vfioLoadStateDeviceData: .compared(.device)
        case .vfioLoadDeviceConfigStateStart, .vfioLoadDeviceConfigStateEnd: .compared(.device)
        case .vfioLoadBufsThreadStart, .vfioLoadBufsThreadEnd: .compared(.device)
        // Packets arrive on any channel, in any order.
        case .vfioLoadStateDeviceBufferIncoming, .vfioLoadStateDeviceBufferStart, .vfioLoadStateDeviceBufferEnd,
            .vfioLoadStateDeviceBufferLoadStart, .vfioLoadStateDeviceBufferLoadEnd, .vfioLoadStateDeviceBufferStarved:
            .leftOut(.timing)
        case .vfioLoadCleanup: .compared(.device)

        // MARK: The mock device
        case .deviceOpen, .deviceClose: .leftOut(.outside)
        // Changes of state, and failed calls.
        case .deviceCall: .compared(.device)
        case .deviceState, .deviceReset: .compared(.device)
        // Without its number.
        case .deviceSessionBegin, .deviceSessionEnd: .compared(.device)
        // Only those that report a REINIT.
        case .devicePrecopyInfo: .compared(.device)
        // The sum at the end of STOP_COPY, and failed reads: the size of a read depends on the buffers.
        case .deviceRead: .compared(.device)
        case .deviceWrite: .compared(.device)
        case .deviceDrained: .leftOut(.redundant)
        // Initial and final data; dirty data in between depends on how often it was read.
        case .deviceLoaded: .compared(.device)
        case .deviceInjected: .leftOut(.script)
        // Holding a call at a gate has no effect of its own.
        case .deviceHoldBegin, .deviceHoldEnd: .leftOut(.script)
        case .deviceUnknownIoctl: .compared(.failure)
        }
    }
}
