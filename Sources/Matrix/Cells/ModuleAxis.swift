/// The axis `modules`: what the guest has beside memory and VFIO devices. The engine models them; QEMU sides are started without.
import Plan
import Prediction

package enum GuestModules: String, AxisChoice {
    case none
    case dirtyBitmap = "dirty-bitmap"
    case storageAttributes = "storage-attributes"
    case freePageHints = "free-page-hints"
    case guestFaults = "guest-faults"
    case all
    case requesterOnce = "requester-1"
    case requesterThrice = "requester-3"
    case requesterAgain = "requester-again"
    case requesterLate = "requester-late"
    case requesterPostcopy = "requester-postcopy"

    /// The gate that opens when a requester is to ask again.
    static let againGate = "again"

    /// What each process of the cell is started with.
    var modules: EngineModules {
        var modules = EngineModules()
        switch self {
        case .none: break
        case .dirtyBitmap: modules.hasDirtyBitmap = true
        case .storageAttributes: modules.hasStorageAttributes = true
        case .freePageHints: modules.hintsFreePages = true
        case .guestFaults: modules.faults = 8
        case .all:
            (modules.hasDirtyBitmap, modules.hasStorageAttributes, modules.hintsFreePages) = (true, true, true)
            modules.requester = EngineModules.Requester(name: "r0")
        // Approvals call a requester by its own name where it has one, else by its section's.
        case .requesterOnce: modules.requester = EngineModules.Requester(name: "r0")
        case .requesterThrice:
            var requester = EngineModules.Requester()
            requester.atSetup = 3
            modules.requester = requester
        case .requesterAgain:
            var requester = EngineModules.Requester(name: "r0")
            requester.againWhenOpen = Self.againGate
            modules.requester = requester
        case .requesterLate:
            var requester = EngineModules.Requester()
            (requester.markerDelay, requester.inFinalQuery) = (2, 1)
            modules.requester = requester
        case .requesterPostcopy:
            var requester = EngineModules.Requester()
            requester.inFinalQuery = 1
            modules.requester = requester
        }
        return modules
    }

    /// Why no cell of this kind of sides has these modules; nil where it has.
    func missing(on kind: SideKind) -> Unavailable? {
        switch kind {
        case .engine: nil
        case .qemu: self == .none ? nil : Unavailable(description: Self.engineAlone)
        }
    }

    fileprivate static let engineAlone =
        "only the engine has modules beside memory and VFIO devices, QEMU sides are started without: use --sides engine"
}

extension Cell {
    /// Why no QEMU side has such a cell, by what is in its guest; nil if a QEMU with the right abilities has it.
    package var engineAlone: String? { plan.source.modules.isEmpty ? nil : GuestModules.engineAlone }
}

extension EngineModules {
    /// The modules in words: one text for the requester, and one for all the rest.
    package var descriptions: [String] {
        let rest = [
            hasDirtyBitmap ? "a dirty bitmap" : nil, hasStorageAttributes ? "storage attributes" : nil,
            hintsFreePages ? "a balloon that hints free pages" : nil,
            faults > 0 ? "\(counted(faults, "missing page")) touched in postcopy" : nil,
        ].compactMap(\.self)
        return [rest.isEmpty ? nil : "modules: " + rest.joined(separator: ", "), requester?.description].compactMap(\.self)
    }
}

extension EngineModules.Requester {
    fileprivate var description: String {
        let asks = [
            "asks for \(counted(atSetup, "ACK")) in the first query", againWhenOpen.map { "for another when gate '\($0)' is open" },
            inFinalQuery > 0 ? "for \(inFinalQuery) in the final query" : nil,
            markerDelay > 0 ? "markers \(counted(markerDelay, "PART")) behind each request" : nil,
        ].compactMap(\.self)
        return (name.map { "requester '\($0)': " } ?? "requester: ") + asks.joined(separator: "; ")
    }
}

extension Prediction.Requester {
    /// The requester as the closed form knows it.
    init(_ requester: EngineModules.Requester) {
        self.init(requests: requester.atSetup + (requester.againWhenOpen == nil ? 0 : 1), late: requester.inFinalQuery)
    }
}

extension Recipe {
    var modules: EngineModules { choices.modules.modules }

    /// Steps that have the requester request another ACK while other ACKs are missing; `further` waits for the queries that see it.
    func askAgain(_ further: ScheduleStep) -> [ScheduleStep] {
        modules.requester?.againWhenOpen.map { [.open(.source, gate: $0), further] } ?? []
    }
}
