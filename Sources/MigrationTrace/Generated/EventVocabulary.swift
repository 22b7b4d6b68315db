// swift-format-ignore-file
// Generated from harness/events/trace-events by `swift run EventGenerator`: do not edit.

extension Event {
    /// Every form of an event, with empty arguments.
    package static let vocabulary: [EventForm] = [
        EventForm(.migrateSetState(.placeholder)),
        EventForm(.migrateError("")),
        EventForm(.migrateFDError(""), until: "9.1"),
        EventForm(.migrationCallNotifiers(type: 0), since: "11.0"),
        EventForm(.migrationBlockActivation(.placeholder)),
        EventForm(.runstateSet(from: 0, .placeholder, to: 0, .placeholder)),
        EventForm(.vmStateNotify(running: false, reason: 0, .placeholder)),
        EventForm(.migrationCancel),
        EventForm(.migrationCleanup),
        EventForm(.savevmStateCleanup),
        EventForm(.migrationThreadSetupComplete),
        EventForm(.migrationThreadAfterLoop),
        EventForm(.migrationThreadFileErr),
        EventForm(.migrationCompletionFileErr),
        EventForm(.vmstateDowntimeCheckpoint("")),
        EventForm(.vmstateDowntimeSave(.placeholder, idstr: "", instance: 0, downtime: 0)),
        EventForm(.vmstateDowntimeLoad(.placeholder, idstr: "", instance: 0, downtime: 0)),
        EventForm(.migrateGlobalStatePreSave("")),
        EventForm(.migrateGlobalStatePostLoad("")),
        EventForm(.savevmStateHeader),
        EventForm(.savevmSendOpenReturnPath),
        EventForm(.savevmSendSwitchoverStart),
        EventForm(.savevmSendPing(0)),
        EventForm(.savevmSendPostcopyListen),
        EventForm(.savevmSendPostcopyRun),
        EventForm(.savevmSendPostcopyResume),
        EventForm(.qemuSavevmSendPostcopyAdvise),
        EventForm(.qemuSavevmSendPackaged),
        EventForm(.savevmSendRecvBitmap(block: "")),
        EventForm(.savevmCommandSend(number: 0, length: 0)),
        EventForm(.savevmStateSetup),
        EventForm(.savevmStateIterate),
        EventForm(.savevmStateResumePrepare),
        EventForm(.savevmSectionStart(idstr: "", section: 0)),
        EventForm(.savevmSectionEnd(idstr: "", section: 0, result: 0)),
        EventForm(.savevmSectionSkip(idstr: "", section: 0)),
        EventForm(.ramSaveComplete(dirtyPages: 0, done: 0), since: "10.1"),
        EventForm(.migrationBitmapSyncStart),
        EventForm(.migrationBitmapSyncEnd(dirtyPages: 0)),
        EventForm(.migrationTransferredBytes(qemuFile: 0, multifd: 0, rdma: 0)),
        EventForm(.savevmRequestSwitchoverAck(stage: "", requester: "", pending: 0), since: "v1", until: "v2"),
        EventForm(.qemuSavevmQueryPending(.init()), since: "v1"),
        EventForm(.migratePendingEstimate(size: 0, precopy: 0, postcopy: 0), until: "v1"),
        EventForm(.migratePendingExact(size: 0, precopy: 0, postcopy: 0), until: "v1"),
        EventForm(.migrateTransferred(.init())),
        EventForm(.migrationRateLimitPre(milliseconds: 0)),
        EventForm(.migrationRateLimitPost(urgent: 0)),
        EventForm(.migrationThreadLowPending(size: 0)),
        EventForm(.migrationCompletionVMStop(result: 0)),
        EventForm(.migrationPrecopyComplete),
        EventForm(.postcopyStart),
        EventForm(.postcopyStartSetRun),
        EventForm(.postcopyPreemptEnabled(0)),
        EventForm(.migrationCompletionPostcopyEnd),
        EventForm(.migrationCompletionPostcopyEndAfterComplete),
        EventForm(.openReturnPathOnSource),
        EventForm(.openReturnPathOnSourceContinue),
        EventForm(.sourceReturnPathThreadEntry),
        EventForm(.sourceReturnPathThreadLoopTop),
        EventForm(.sourceReturnPathThreadPong(0)),
        EventForm(.sourceReturnPathThreadPostcopyPackageLoaded, since: "10.2"),
        EventForm(.sourceReturnPathThreadSwitchoverAcked(pending: 0)),
        EventForm(.sourceReturnPathThreadResumeAck(0)),
        EventForm(.sourceReturnPathThreadShut(0)),
        EventForm(.sourceReturnPathThreadBadEnd),
        EventForm(.sourceReturnPathThreadEnd),
        EventForm(.migrateHandleRPReqPages(block: "", start: 0, length: 0)),
        EventForm(.ramDirtyBitmapReloadBegin(block: "")),
        EventForm(.ramDirtyBitmapReloadComplete(block: "")),
        EventForm(.migrationReturnPathEndBefore),
        EventForm(.migrationReturnPathEndAfter),
        EventForm(.loadvmStateSetup),
        EventForm(.loadvmStateCleanup),
        EventForm(.migrationRequestSwitchoverAckLegacy(requester: "", pending: 0), since: "v1"),
        EventForm(.loadvmStateSwitchoverAckNeeded(pending: 0), until: "v1"),
        EventForm(.qemuLoadvmStateSection(.placeholder)),
        EventForm(.qemuLoadvmStateSectionStartFull(section: 0, idstr: "", instance: 0, version: 0)),
        EventForm(.qemuLoadvmStateSectionPartEnd(section: 0)),
        EventForm(.qemuLoadvmStateSectionCommand(result: 0)),
        EventForm(.loadvmProcessCommand(.placeholder, length: 0)),
        EventForm(.loadvmProcessCommandPing(0)),
        EventForm(.loadvmHandleCmdPackaged(length: 0)),
        EventForm(.loadvmHandleCmdPackagedReceived(length: 0)),
        EventForm(.loadvmHandleCmdPackagedMain(result: 0)),
        EventForm(.loadvmHandleRecvBitmap(block: "")),
        EventForm(.loadvmPostcopyHandleAdvise),
        EventForm(.loadvmPostcopyHandleListen(step: "")),
        EventForm(.loadvmPostcopyHandleRun),
        EventForm(.loadvmPostcopyHandleResume),
        EventForm(.loadvmPostcopyRAMHandleDiscard),
        EventForm(.loadvmApproveSwitchover(approver: ""), since: "v1"),
        EventForm(.loadvmApproveSwitchoverCounted(pending: 0), until: "v1"),
        EventForm(.loadvmApproveSwitchoverLegacy(approver: "", pending: 0), since: "v1"),
        EventForm(.migrateSendRPMessage(.placeholder, length: 0)),
        EventForm(.migrateSendRPRecvBitmap(block: "", size: 0)),
        EventForm(.postcopyRAMListenThreadStart),
        EventForm(.postcopyRAMListenThreadExit),
        EventForm(.qemuLoadvmStatePostMain(result: 0)),
        EventForm(.processIncomingMigrationCoEnd(result: 0, postcopyState: 0)),
        EventForm(.processIncomingMigrationCoPostcopyEndMain),
        EventForm(.vfioMigrationInit(device: "", flags: 0, precopyInfoV2: false, dirtyPages: false), since: "v1"),
        EventForm(.vfioMigrationRealize(device: "")),
        EventForm(.vfioMigrationSetState(device: "", .placeholder, recover: .placeholder)),
        EventForm(.vfioMigrationStateSet(device: "", .placeholder), until: "9.1"),
        EventForm(.vfioMigrationSetDeviceState(device: "", .placeholder)),
        EventForm(.vfioMigrationStateNotifier(device: "", state: 0)),
        EventForm(.vfioMigrationStatusNotified(device: "", .placeholder), until: "9.1"),
        EventForm(.vfioVMStateChangePrepare(device: "", running: false, reason: .placeholder, .placeholder)),
        EventForm(.vfioVMStateChange(device: "", running: false, reason: .placeholder, .placeholder)),
        EventForm(.vfioGetDirtyBitmap(iova: 0, size: 0, bitmapSize: 0, start: 0, dirtyPages: 0)),
        EventForm(.vfioContainerQueryDirtyBitmap(iova: 0, size: 0, backendFlag: 0, bitmapSize: 0, guest: 0, dirtyPages: 0)),
        EventForm(.vfioSaveSetup(device: "", dataBufferSize: 0)),
        EventForm(.vfioQueryStopCopySize(device: "", size: 0, result: 0), since: "v1"),
        EventForm(.vfioQueryPrecopySize(device: "", initial: 0, dirty: 0, reinit: false, result: 0), since: "v1"),
        EventForm(.vfioQueryPrecopySizeRequestSwitchoverAck(device: ""), since: "v1"),
        EventForm(.vfioStatePending(.init()), since: "v1"),
        EventForm(.vfioStatePendingEstimate(device: "", precopy: 0, postcopy: 0, initial: 0, dirty: 0), until: "v1"),
        EventForm(.vfioStatePendingExact(device: "", precopy: 0, postcopy: 0, stopCopy: 0, initial: 0, dirty: 0), until: "v1"),
        EventForm(.vfioSaveIterateStart(device: "")),
        EventForm(.vfioSaveBlock(device: "", size: 0)),
        EventForm(.vfioSaveBlockPrecopyEmptyHit(device: "")),
        EventForm(.vfioSendInitDataFlag(device: ""), since: "v1"),
        EventForm(.vfioSaveIterate(device: "", initial: 0, dirty: 0)),
        EventForm(.vfioSaveCompletePrecopyStart(device: "")),
        EventForm(.vfioSaveCompletePrecopy(device: "", result: 0)),
        EventForm(.vfioSaveCompletePrecopyThreadStart(device: "", idstr: "", instance: 0), since: "10.0"),
        EventForm(.vfioSaveCompletePrecopyThreadEnd(device: "", result: 0), since: "10.0"),
        EventForm(.vfioSaveDeviceConfigState(device: "")),
        EventForm(.vfioSaveCleanup(device: "")),
        EventForm(.vfioLoadState(device: "", .placeholder)),
        EventForm(.vfioLoadStateDeviceData(device: "", size: 0, result: 0)),
        EventForm(.vfioLoadDeviceConfigStateStart(device: "")),
        EventForm(.vfioLoadDeviceConfigStateEnd(device: "")),
        EventForm(.vfioLoadBufsThreadStart(device: ""), since: "10.0"),
        EventForm(.vfioLoadBufsThreadEnd(device: ""), since: "10.0"),
        EventForm(.vfioLoadStateDeviceBufferIncoming(device: "", index: 0), since: "10.0"),
        EventForm(.vfioLoadStateDeviceBufferStart(device: ""), since: "10.0"),
        EventForm(.vfioLoadStateDeviceBufferEnd(device: ""), since: "10.0"),
        EventForm(.vfioLoadStateDeviceBufferLoadStart(device: "", index: 0), since: "10.0"),
        EventForm(.vfioLoadStateDeviceBufferLoadEnd(device: "", index: 0), since: "10.0"),
        EventForm(.vfioLoadStateDeviceBufferStarved(device: "", index: 0), since: "10.0"),
        EventForm(.vfioLoadCleanup(device: "")),
        EventForm(.deviceOpen(device: "", flags: 0, reinit: false)),
        EventForm(.deviceCall(device: "", call: "", result: 0)),
        EventForm(.deviceState(device: "", from: .placeholder, to: .placeholder)),
        EventForm(.deviceSessionBegin(device: "", .placeholder, session: 0)),
        EventForm(.deviceSessionEnd(device: "", session: 0)),
        EventForm(.devicePrecopyInfo(.init())),
        EventForm(.deviceRead(device: "", size: 0, result: 0)),
        EventForm(.deviceWrite(device: "", size: 0, result: 0)),
        EventForm(.deviceUnknownIoctl(device: "", request: 0)),
        EventForm(.deviceReset(device: "", from: .placeholder)),
        EventForm(.deviceClose(device: "", .placeholder)),
        EventForm(.deviceDrained(device: "", total: 0)),
        EventForm(.deviceLoaded(device: "", .placeholder, size: 0, total: 0)),
        EventForm(.deviceInjected(device: "", line: 0, action: "", value: 0)),
        EventForm(.deviceHoldBegin(device: "", gate: "")),
        EventForm(.deviceHoldEnd(device: "", gate: "")),
        EventForm(.recordedBegin(process: 0, contents: false)),
        EventForm(.recordedEnd(calls: 0)),
        EventForm(.recordedOpen(device: "", .placeholder, result: 0, found: false, took: 0, path: "")),
        EventForm(.recordedClose(device: "", .placeholder, descriptor: 0, result: 0, took: 0)),
        EventForm(.recordedIoctl(device: "", call: "", request: 0, result: 0, took: 0, input: "", output: "")),
        EventForm(.recordedState(device: "", .placeholder, result: 0, data: 0, took: 0)),
        EventForm(.recordedPrecopyInfo(.init())),
        EventForm(.recordedDataSize(device: "", size: 0, result: 0, took: 0)),
        EventForm(.recordedRead(.init())),
        EventForm(.recordedWrite(.init())),
        EventForm(.recordedAccess(device: "", .placeholder, offset: 0, size: 0, result: 0, hash: 0, took: 0)),
        EventForm(.deviceDeparted(device: "", position: 0, expected: "", found: "")),
    ]

    mutating func format<Codec: FieldCodec>(_ c: inout Codec) {
        switch section {
        case .migrationStateOfBothSides: formatMigrationStateOfBothSides(&c)
        case .migrationCourseOfBothSides: formatMigrationCourseOfBothSides(&c)
        case .migrationSourceCommandsAndSteps: formatMigrationSourceCommandsAndSteps(&c)
        case .migrationSourceSectionsAndMemory: formatMigrationSourceSectionsAndMemory(&c)
        case .migrationSourceDecision: formatMigrationSourceDecision(&c)
        case .migrationSourceReturnPath: formatMigrationSourceReturnPath(&c)
        case .migrationDestinationSectionsAndCommands: formatMigrationDestinationSectionsAndCommands(&c)
        case .migrationDestinationPostcopyAndAnswers: formatMigrationDestinationPostcopyAndAnswers(&c)
        case .vfioBothSides: formatVfioBothSides(&c)
        case .vfioSourceSetUpAndQueries: formatVfioSourceSetUpAndQueries(&c)
        case .vfioSourceSending: formatVfioSourceSending(&c)
        case .vfioDestination: formatVfioDestination(&c)
        case .vfioMockDeviceCalls: formatVfioMockDeviceCalls(&c)
        case .vfioMockDeviceProgressAndScript: formatVfioMockDeviceProgressAndScript(&c)
        case .recorderDescriptorsAndRequests: formatRecorderDescriptorsAndRequests(&c)
        case .recorderMigration: formatRecorderMigration(&c)
        case .recorderReplayedDevice: formatRecorderReplayedDevice(&c)
        }
    }

    /// The sections of `trace-events`, each of which has a function.
    private enum Section {
        case migrationStateOfBothSides
        case migrationCourseOfBothSides
        case migrationSourceCommandsAndSteps
        case migrationSourceSectionsAndMemory
        case migrationSourceDecision
        case migrationSourceReturnPath
        case migrationDestinationSectionsAndCommands
        case migrationDestinationPostcopyAndAnswers
        case vfioBothSides
        case vfioSourceSetUpAndQueries
        case vfioSourceSending
        case vfioDestination
        case vfioMockDeviceCalls
        case vfioMockDeviceProgressAndScript
        case recorderDescriptorsAndRequests
        case recorderMigration
        case recorderReplayedDevice
    }

    private var section: Section {
        switch self {
        case .migrateSetState, .migrateError, .migrateFDError, .migrationCallNotifiers, .migrationBlockActivation, .runstateSet,
            .vmStateNotify:
            .migrationStateOfBothSides
        case .migrationCancel, .migrationCleanup, .savevmStateCleanup, .migrationThreadSetupComplete, .migrationThreadAfterLoop,
            .migrationThreadFileErr, .migrationCompletionFileErr, .vmstateDowntimeCheckpoint, .vmstateDowntimeSave, .vmstateDowntimeLoad,
            .migrateGlobalStatePreSave, .migrateGlobalStatePostLoad:
            .migrationCourseOfBothSides
        case .savevmStateHeader, .savevmSendOpenReturnPath, .savevmSendSwitchoverStart, .savevmSendPing, .savevmSendPostcopyListen,
            .savevmSendPostcopyRun, .savevmSendPostcopyResume, .qemuSavevmSendPostcopyAdvise, .qemuSavevmSendPackaged,
            .savevmSendRecvBitmap, .savevmCommandSend, .savevmStateSetup, .savevmStateIterate, .savevmStateResumePrepare:
            .migrationSourceCommandsAndSteps
        case .savevmSectionStart, .savevmSectionEnd, .savevmSectionSkip, .ramSaveComplete, .migrationBitmapSyncStart,
            .migrationBitmapSyncEnd, .migrationTransferredBytes:
            .migrationSourceSectionsAndMemory
        case .savevmRequestSwitchoverAck, .qemuSavevmQueryPending, .migratePendingEstimate, .migratePendingExact, .migrateTransferred,
            .migrationRateLimitPre, .migrationRateLimitPost, .migrationThreadLowPending, .migrationCompletionVMStop,
            .migrationPrecopyComplete, .postcopyStart, .postcopyStartSetRun, .postcopyPreemptEnabled, .migrationCompletionPostcopyEnd,
            .migrationCompletionPostcopyEndAfterComplete:
            .migrationSourceDecision
        case .openReturnPathOnSource, .openReturnPathOnSourceContinue, .sourceReturnPathThreadEntry, .sourceReturnPathThreadLoopTop,
            .sourceReturnPathThreadPong, .sourceReturnPathThreadPostcopyPackageLoaded, .sourceReturnPathThreadSwitchoverAcked,
            .sourceReturnPathThreadResumeAck, .sourceReturnPathThreadShut, .sourceReturnPathThreadBadEnd, .sourceReturnPathThreadEnd,
            .migrateHandleRPReqPages, .ramDirtyBitmapReloadBegin, .ramDirtyBitmapReloadComplete, .migrationReturnPathEndBefore,
            .migrationReturnPathEndAfter:
            .migrationSourceReturnPath
        case .loadvmStateSetup, .loadvmStateCleanup, .migrationRequestSwitchoverAckLegacy, .loadvmStateSwitchoverAckNeeded,
            .qemuLoadvmStateSection, .qemuLoadvmStateSectionStartFull, .qemuLoadvmStateSectionPartEnd, .qemuLoadvmStateSectionCommand,
            .loadvmProcessCommand, .loadvmProcessCommandPing, .loadvmHandleCmdPackaged, .loadvmHandleCmdPackagedReceived,
            .loadvmHandleCmdPackagedMain, .loadvmHandleRecvBitmap:
            .migrationDestinationSectionsAndCommands
        case .loadvmPostcopyHandleAdvise, .loadvmPostcopyHandleListen, .loadvmPostcopyHandleRun, .loadvmPostcopyHandleResume,
            .loadvmPostcopyRAMHandleDiscard, .loadvmApproveSwitchover, .loadvmApproveSwitchoverCounted, .loadvmApproveSwitchoverLegacy,
            .migrateSendRPMessage, .migrateSendRPRecvBitmap, .postcopyRAMListenThreadStart, .postcopyRAMListenThreadExit,
            .qemuLoadvmStatePostMain, .processIncomingMigrationCoEnd, .processIncomingMigrationCoPostcopyEndMain:
            .migrationDestinationPostcopyAndAnswers
        case .vfioMigrationInit, .vfioMigrationRealize, .vfioMigrationSetState, .vfioMigrationStateSet, .vfioMigrationSetDeviceState,
            .vfioMigrationStateNotifier, .vfioMigrationStatusNotified, .vfioVMStateChangePrepare, .vfioVMStateChange, .vfioGetDirtyBitmap,
            .vfioContainerQueryDirtyBitmap:
            .vfioBothSides
        case .vfioSaveSetup, .vfioQueryStopCopySize, .vfioQueryPrecopySize, .vfioQueryPrecopySizeRequestSwitchoverAck, .vfioStatePending,
            .vfioStatePendingEstimate, .vfioStatePendingExact:
            .vfioSourceSetUpAndQueries
        case .vfioSaveIterateStart, .vfioSaveBlock, .vfioSaveBlockPrecopyEmptyHit, .vfioSendInitDataFlag, .vfioSaveIterate,
            .vfioSaveCompletePrecopyStart, .vfioSaveCompletePrecopy, .vfioSaveCompletePrecopyThreadStart, .vfioSaveCompletePrecopyThreadEnd,
            .vfioSaveDeviceConfigState, .vfioSaveCleanup:
            .vfioSourceSending
        case .vfioLoadState, .vfioLoadStateDeviceData, .vfioLoadDeviceConfigStateStart, .vfioLoadDeviceConfigStateEnd,
            .vfioLoadBufsThreadStart, .vfioLoadBufsThreadEnd, .vfioLoadStateDeviceBufferIncoming, .vfioLoadStateDeviceBufferStart,
            .vfioLoadStateDeviceBufferEnd, .vfioLoadStateDeviceBufferLoadStart, .vfioLoadStateDeviceBufferLoadEnd,
            .vfioLoadStateDeviceBufferStarved, .vfioLoadCleanup:
            .vfioDestination
        case .deviceOpen, .deviceCall, .deviceState, .deviceSessionBegin, .deviceSessionEnd, .devicePrecopyInfo, .deviceRead, .deviceWrite,
            .deviceUnknownIoctl, .deviceReset, .deviceClose:
            .vfioMockDeviceCalls
        case .deviceDrained, .deviceLoaded, .deviceInjected, .deviceHoldBegin, .deviceHoldEnd:
            .vfioMockDeviceProgressAndScript
        case .recordedBegin, .recordedEnd, .recordedOpen, .recordedClose, .recordedIoctl:
            .recorderDescriptorsAndRequests
        case .recordedState, .recordedPrecopyInfo, .recordedDataSize, .recordedRead, .recordedWrite, .recordedAccess:
            .recorderMigration
        case .deviceDeparted:
            .recorderReplayedDevice
        }
    }
}
