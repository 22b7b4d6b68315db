/// Which events two runs of one cell are compared by, and why the others are not: the whole list, in one place.
///
/// Compared is what says something of the handshake, the statuses, the run states, the devices, the stream or the return path. Whatever
/// follows from how long something took, or from what else the machine is made of, is left out, with the reason. The switch has no default:
/// an event that is added to the vocabulary is decided on here.
import MigrationTrace

/// What becomes of an event in a comparison.
enum ProtocolRelevance: Hashable, Sendable {
    case compared(Topic)
    case leftOut(Reason)

    enum Topic: String, Hashable, Sendable {
        /// Requests, markers, approvals, ACKs, the decision and the last check.
        case handshake
        case status = "status of the migration"
        case runState = "run state of the guest"
        case device = "what a device is asked for, and what it did"
        case stream = "commands, and sections of the modules that take part"
        case returnPath = "the return path"
        case failure
    }

    enum Reason: String, Hashable, Sendable {
        /// How often, how long, how many bytes: another number in each run.
        case timing
        /// Machines differ in what they are made of.
        case machine
        /// Another event that is compared says the same.
        case redundant
        /// Done before the migration, or when the program is taken down.
        case outside = "outside of the migration"
        /// What the script of the harness does; what it makes happen is compared.
        case script
    }
}

extension Event {
    var relevance: ProtocolRelevance {
        switch self {
        // MARK: State
        case .migrateSetState: .compared(.status)
        // Its text, with the devices named by their sections.
        case .migrateError: .compared(.failure)
        case .migrationCallNotifiers: .compared(.status)
        case .migrationBlockActivation: .compared(.status)
        case .runstateSet, .vmStateNotify: .compared(.runState)
        // Where the migration is over it is printed by every program that quits.
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
        // Without its length, and where it comes once for each block of RAM, once.
        case .savevmCommandSend: .compared(.stream)
        case .savevmSendRecvBitmap: .leftOut(.redundant)
        // How often the source iterates is no event of the protocol.
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
        // The one that is final, and those that collect requests; which kinds follow each other is not compared.
        case .qemuSavevmQueryPending, .savevmRequestSwitchoverAck: .compared(.handshake)
        case .migratePendingEstimate, .migratePendingExact: .leftOut(.timing)
        case .migrateTransferred, .migrationRateLimitPre, .migrationRateLimitPost: .leftOut(.timing)
        // Without its bytes: RAM that the guest wrote is among them.
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
        // Each, and whether it underflows. Its number depends on whether the next request was collected before or after it.
        case .sourceReturnPathThreadSwitchoverAcked: .compared(.handshake)
        // Which pages the guest touches, and when.
        case .migrateHandleRPReqPages: .leftOut(.timing)
        case .ramDirtyBitmapReloadBegin, .ramDirtyBitmapReloadComplete: .leftOut(.machine)
        case .migrationReturnPathEndBefore, .migrationReturnPathEndAfter: .compared(.returnPath)

        // MARK: Destination
        case .loadvmStateSetup, .loadvmStateCleanup: .compared(.status)
        case .migrationRequestSwitchoverAckLegacy, .loadvmStateSwitchoverAckNeeded: .compared(.handshake)
        // The end of the stream; sections have events of their own.
        case .qemuLoadvmStateSection: .compared(.stream)
        // As at the source: START, END and FULL, of a PART what is in it.
        case .qemuLoadvmStateSectionStartFull, .qemuLoadvmStateSectionPartEnd: .compared(.stream)
        // Those that are no success.
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
        // At set-up.
        case .vfioQueryStopCopySize: .compared(.device)
        // At set-up and at the last check; in between those that show a REINIT. One that fails there fails nothing, and whether one comes
        // before what does is chance.
        case .vfioQueryPrecopySize: .compared(.handshake)
        case .vfioQueryPrecopySizeRequestSwitchoverAck: .compared(.handshake)
        // Those that request, and the final one.
        case .vfioStatePending: .compared(.handshake)
        // Only that the device goes on working.
        case .vfioStatePendingEstimate, .vfioStatePendingExact: .compared(.device)
        case .vfioSaveIterateStart: .compared(.device)
        // As the sum of what comes before each marker, and of what comes at the end; of a device that goes on working sums are left out,
        // since they depend on how long it did.
        case .vfioSaveBlock: .compared(.device)
        // Whether another PART came behind the last one with data.
        case .vfioSaveBlockPrecopyEmptyHit: .leftOut(.timing)
        case .vfioSendInitDataFlag: .compared(.handshake)
        // Where no marker is printed (up to 11.0, or without the capability), the end of the initial bytes.
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
        // Changes of state, and what fails.
        case .deviceCall: .compared(.device)
        case .deviceState, .deviceReset: .compared(.device)
        // Without its number.
        case .deviceSessionBegin, .deviceSessionEnd: .compared(.device)
        // Those that show a REINIT.
        case .devicePrecopyInfo: .compared(.device)
        // As the sum at the end of STOP_COPY, and what fails: how much is read at once is up to the buffers.
        case .deviceRead: .compared(.device)
        case .deviceWrite: .compared(.device)
        case .deviceDrained: .leftOut(.redundant)
        // Initial and final data; what was dirty in between depends on how often it was asked for.
        case .deviceLoaded: .compared(.device)
        case .deviceInjected: .leftOut(.script)
        // Gates: a call has the same effect whether it was held or not.
        case .deviceHoldBegin, .deviceHoldEnd: .leftOut(.script)
        case .deviceUnknownIoctl: .compared(.failure)
        }
    }
}
