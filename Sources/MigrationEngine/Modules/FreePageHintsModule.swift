/// Free-page hints of the balloon: while the guest runs, it names pages that it does not use, which then need not be sent. Each sync ends a
/// round of hints; the sync with the guest stopped says "done", and the balloon's FULL section must follow it.
import MigrationStream
import SwitchoverProtocol

/// The state of the hints, as the guest was told.
package struct FreePageHinting: Hashable, Sendable {
    /// The states by the device's numbers (read in 11.1, not run).
    package enum State: UInt8, Hashable, Sendable {
        case stop
        /// The guest was asked for hints.
        case requested
        /// The guest gives hints.
        case start
        /// The guest may use all hinted pages again.
        case done
    }

    package private(set) var state = State.stop
    /// The round of hints; the first is 0x80000000.
    package private(set) var round: UInt32 = 0

    package init() {}

    /// Handles the guest's answer to a request, with the round's number; an older round has no effect.
    package mutating func answered(round: UInt32) { if state == .requested, round == self.round { state = .start } }

    package mutating func notified(_ reason: PrecopyReason, guestRuns: Bool) {
        switch reason {
        case .setup, .complete: break
        case .beforeBitmapSync: state = .stop
        case .afterBitmapSync where guestRuns:
            round = round == 0 || round == .max ? 0x8000_0000 : round + 1
            state = .requested
        case .afterBitmapSync, .cleanup: state = .done
        }
    }

    fileprivate init?(_ fields: [UInt8]) {
        guard fields.count == 5, let state = State(rawValue: fields[0]) else { return nil }
        self.state = state
        round = fields[1...].reduce(0) { $0 << 8 | UInt32($1) }
    }

    fileprivate var fields: [UInt8] { [state.rawValue] + (0..<4).map { UInt8(truncatingIfNeeded: round >> UInt32(24 - 8 * $0)) } }
}

/// The balloon.
package final class FreePageHints: SaveVMHandlers {
    package let idstr: String
    package let hasState = true
    /// True if the guest's driver knows hints.
    package var isNegotiated = true
    package private(set) var hinting = FreePageHinting()
    /// The state when the FULL section was written; nil if no section was.
    package private(set) var writtenAs: FreePageHinting.State?

    package init(idstr: String = "0000:00:03.0/virtio-balloon") { self.idstr = idstr }

    /// True if the last FULL section, if there was one, was written after "done", or hints are not in use.
    package func keptOrder(_ host: Host) -> Bool { writtenAs == nil || writtenAs == .done || !takesPart(host) }

    /// Answers a request as the guest: it does not use these pages. Has no effect in any other state.
    package func hint(block: Int, _ pages: Range<Int>, to ram: RAM) {
        hinting.answered(round: hinting.round)
        if hinting.state == .start { ram.dropHinted(block: block, pages) }
    }

    /// True if hints are used. With postcopy-ram the guest would miss pages at the destination that no side has.
    private func takesPart(_ host: Host) -> Bool { isNegotiated && !host.has(.postcopyRAM) }

    package func precopyNotified(_ reason: PrecopyReason, _ host: Host) {
        if reason == .setup { writtenAs = nil }
        if takesPart(host) { hinting.notified(reason, guestRuns: host.guestRuns) }
    }

    package func saveState(_ call: inout Call) throws(ModuleError) -> Progress {
        writtenAs = hinting.state
        call.payload.append(.fields(hinting.fields))
        return .done
    }

    package func loadState(_ record: SectionRecord, _ call: inout Call) throws(ModuleError) -> Progress {
        guard case .fields(let fields) = record, let loaded = FreePageHinting(fields) else {
            throw ModuleError("Failed to load \(idstr): 5 bytes of fields expected, not \(record)", result: -22)
        }
        hinting = loaded
        return .done
    }
}
