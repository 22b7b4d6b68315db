/// Free-page hints of the balloon: while the guest runs it tells of pages that it does not use, which then need not be sent. Each sync ends a round of
/// hints; the one with the guest stopped says "done", and the balloon's FULL section must come after it.
import MigrationStream
import SwitchoverProtocol

/// What the guest was told of hints.
package struct FreePageHinting: Hashable, Sendable {
    /// As the device numbers them (read in 11.1, not run).
    package enum State: UInt8, Hashable, Sendable {
        case stop
        /// The guest was asked for hints.
        case requested
        /// It gives them.
        case start
        /// It may use all pages again that it gave as hints.
        case done
    }

    package private(set) var state = State.stop
    /// The round of hints; the first is 0x80000000.
    package private(set) var round: UInt32 = 0

    package init() {}

    /// The guest answers a request with its round's number; an older one counts for nothing.
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
    /// The guest's driver knows hints.
    package var isNegotiated = true
    package private(set) var hinting = FreePageHinting()
    /// What it was when the FULL section was written; nil: no section was.
    package private(set) var writtenAs: FreePageHinting.State?

    package init(idstr: String = "0000:00:03.0/virtio-balloon") { self.idstr = idstr }

    /// Whether the last FULL section, if there was one, came after "done". Where hints are not in use nothing has to.
    package func keptOrder(_ host: Host) -> Bool { writtenAs == nil || writtenAs == .done || !takesPart(host) }

    /// The guest takes up a request, and says that it does not use these pages. Nothing happens in any other state.
    package func hint(block: Int, _ pages: Range<Int>, to ram: RAM) {
        hinting.answered(round: hinting.round)
        if hinting.state == .start { ram.dropHinted(block: block, pages) }
    }

    /// With postcopy-ram the guest would miss pages at the destination that nobody has.
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
