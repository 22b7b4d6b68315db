/// The axis `modules`: what the guest has beside memory and VFIO devices. The engine has modules for it; a QEMU here is started with none.
import Plan
import Prediction

/// A value of the axis.
struct ModuleChoice: Sendable {
    /// The axis' name in a matrix file.
    static let axis = "modules"
    static let plain = "none"

    let value: String
    let modules: EngineModules

    private init(_ value: String, _ change: (inout EngineModules) -> Void) {
        var modules = EngineModules()
        change(&modules)
        (self.value, self.modules) = (value, modules)
    }

    /// A requester; by its own name where it has one, else by its section's.
    private init(requester value: String, name: String? = nil, _ change: (inout EngineModules.Requester) -> Void = { _ in }) {
        self.init(value) {
            var requester = EngineModules.Requester(name: name)
            change(&requester)
            $0.requester = requester
        }
    }

    /// Opened where a requester is to ask again.
    static let againGate = "again"

    static let all = [
        ModuleChoice(plain) { _ in },
        ModuleChoice("dirty-bitmap") { $0.hasDirtyBitmap = true },
        ModuleChoice("storage-attributes") { $0.hasStorageAttributes = true },
        ModuleChoice("free-page-hints") { $0.hintsFreePages = true },
        ModuleChoice("guest-faults") { $0.faults = 8 },
        ModuleChoice("all") {
            ($0.hasDirtyBitmap, $0.hasStorageAttributes, $0.hintsFreePages) = (true, true, true)
            $0.requester = EngineModules.Requester(name: "r0")
        },
        ModuleChoice(requester: "requester-1", name: "r0"),
        ModuleChoice(requester: "requester-3") { $0.atSetup = 3 },
        ModuleChoice(requester: "requester-again", name: "r0") { $0.againWhenOpen = againGate },
        ModuleChoice(requester: "requester-late") { ($0.markerDelay, $0.inFinalQuery) = (2, 1) },
        ModuleChoice(requester: "requester-postcopy") { $0.inFinalQuery = 1 },
    ]

    static subscript(value: String) -> ModuleChoice? { all.first { $0.value == value } }

    /// Why no cell of QEMUs has this value; nil where it has.
    static func missing(_ value: String, _ kind: SideKind) -> Unavailable? {
        guard kind == .qemu, value != plain else { return nil }
        return Unavailable(
            description: "modules beside memory and VFIO devices are the engine's alone, a QEMU here is started with none: --sides engine")
    }
}

extension Cell {
    /// Why no QEMU has such a cell, for what is in its guest; nil where a QEMU that fits would have it.
    package var engineAlone: String? { ModuleChoice.missing(selection[ModuleChoice.axis], .qemu)?.description }
}

extension EngineModules {
    /// What the guest has, in words: a text for its requester, and one for all the rest.
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
    /// What the closed form is to know of it.
    init(_ requester: EngineModules.Requester) {
        self.init(requests: requester.atSetup + (requester.againWhenOpen == nil ? 0 : 1), late: requester.inFinalQuery)
    }
}

extension Recipe {
    var modules: EngineModules { ModuleChoice[selection[ModuleChoice.axis]]?.modules ?? EngineModules() }

    /// The requester is asked again while all the other ACKs are missing, or its own are.
    func askAgain(_ further: ScheduleStep) -> [ScheduleStep] {
        modules.requester?.againWhenOpen.map { [.open(.source, gate: $0), further] } ?? []
    }
}
