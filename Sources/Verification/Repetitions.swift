/// Judges folded streams without unfolding all of them: a few hundred bytes may stand for a trillion entries.
///
/// The first repetitions of a block are handed over one by one, more of them than confirm any proof and than a rule has findings kept. What
/// follows depends on the block:
/// - A block of a source that waits, or of a destination that reads on, changes nothing but counters any more, by the same amount in each
///   repetition. The repetitions in between are added to the counters at once. This is exact.
/// - Any other block is handed over whole, as long as the trace has no more than `mostUnfolded` such entries. Beyond that its middle counts
///   as missing lines, about which no rule concludes anything, and the reason says so.
import MigrationTrace

/// How much of a folded stream is handed over one by one.
struct Unfolding {
    /// Repetitions at the beginning of a block.
    var leading = 2 * EndlessProof.confirmations
    /// Repetitions at the end of a block, which are the last events before what follows.
    var trailing = 2
    /// A block with no more entries than this is handed over whole.
    var whole = 100_000
    /// The most entries of a trace that are handed over beyond the first repetitions because they cannot be counted at once.
    var mostUnfolded = 1 << 22

    private(set) var leftOut = 0

    mutating func leaveOut(_ entries: Int) { leftOut += entries }

    /// Takes the entries from what may still be handed over; false if there is not as much left.
    mutating func spend(_ entries: Int) -> Bool {
        guard entries <= mostUnfolded else { return false }
        mostUnfolded -= entries
        return true
    }
}

extension Verifier {
    /// Handles a whole stream. Places count the entries that a fold stands for.
    mutating func handle(_ folded: FoldedStream, as stream: StreamName, _ unfolding: inout Unfolding) {
        var line = 0
        for fold in folded.folds {
            switch fold {
            case .once(let entry):
                line += 1
                if let event = entry.event { handle(event, at: Place(stream: stream, line: line)) }
            case .times(let count, let block):
                handle(block, count, as: stream, after: line, &unfolding)
                line += fold.count
            }
        }
    }

    private mutating func handle(
        _ block: [FoldedEntry], _ count: Int, as stream: StreamName, after line: Int, _ unfolding: inout Unfolding
    ) {
        let isCounted = block.allSatisfy { $0.step == .zero && ($0.first.event?.onlyCounts(in: stream) ?? true) }
        let (leading, trailing) = (unfolding.leading, unfolding.trailing)
        let entries = count * block.count
        let isWhole =
            count <= leading + trailing || entries <= unfolding.whole && (isCounted || unfolding.spend(entries))
            || !isCounted && unfolding.spend(entries)
        guard !isWhole else { return handle(block, 0..<count, as: stream, after: line) }
        handle(block, 0..<leading - 1, as: stream, after: line)
        let before = self
        handle(block, leading - 1..<leading, as: stream, after: line)
        let skipped = count - leading - trailing
        if isCounted {
            repeatWhatHappened(skipped, since: before)
        } else {
            gap(in: stream)
            unfolding.leaveOut(skipped * block.count)
        }
        handle(block, count - trailing..<count, as: stream, after: line)
    }

    private mutating func handle(_ block: [FoldedEntry], _ repetitions: Range<Int>, as stream: StreamName, after line: Int) {
        for repetition in repetitions {
            for (place, entry) in block.enumerated() {
                guard case .event(let event) = entry.record(repetition) else { continue }
                handle(event, at: Place(stream: stream, line: line + repetition * block.count + place + 1))
            }
        }
    }
}

extension Event {
    /// True if the verifier only counts this event once it has been repeated a few hundred times.
    func onlyCounts(in stream: StreamName) -> Bool {
        switch (stream, self) {
        case (.source, .qemuSavevmQueryPending(let query)): query.collectedAcks == 0 && !query.final
        case (.source, .vfioStatePending(let pending)): !pending.requestsAck
        case (.source, .vfioQueryPrecopySize(_, _, _, let reinit, let result)): !reinit && result == 0
        case (.source, .vfioStatePendingEstimate), (.source, .vfioStatePendingExact), (.source, .migratePendingEstimate),
            (.source, .migratePendingExact), (.source, .savevmStateIterate), (.source, .savevmSectionStart), (.source, .savevmSectionEnd),
            (.source, .vfioSaveIterateStart), (.source, .vfioSaveIterate), (.source, .vfioSaveBlock),
            (.source, .vfioSaveBlockPrecopyEmptyHit), (.source, .migrateTransferred), (.source, .sourceReturnPathThreadLoopTop),
            (.source, .vfioQueryStopCopySize), (.source, .migrationBitmapSyncStart), (.source, .migrationBitmapSyncEnd):
            true
        case (.destination, .qemuLoadvmStateSection), (.destination, .qemuLoadvmStateSectionPartEnd),
            (.destination, .vfioLoadState(_, .data)), (.destination, .vfioLoadStateDeviceData):
            true
        case (.sourceDevices, .devicePrecopyInfo(let info)), (.destinationDevices, .devicePrecopyInfo(let info)): !info.reinit
        case (.sourceDevices, .deviceRead), (.destinationDevices, .deviceWrite): true
        default: false
        }
    }
}
