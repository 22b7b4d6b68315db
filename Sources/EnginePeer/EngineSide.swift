/// The generations of the engine as available sides, with the features that probing would find.
import MigrationTrace
import Plan
import SwitchoverProtocol

/// The releases whose versioned machine types the engine has, oldest first, from the first with the capability on.
private let releases = ["8.1", "8.2", "9.0", "9.1", "9.2", "10.0", "10.1", "10.2", "11.0", "11.1"]

/// For generations that are no release: the release that they were posted for or are derived from, whose machine types they have.
private let releaseOfPosting = ["v1": "11.1", "v2": "11.1", "request-message": "11.1", "postcopy-device-v1": "10.1"]

extension ProbedFeatures {
    /// The features that a probe of the generation would find. The version is the side's name, since no QEMU version applies.
    package init(_ generation: Generation) {
        let newest = releaseOfPosting[generation.name] ?? generation.name
        let last = releases.firstIndex(of: newest) ?? releases.count - 1
        let types = releases[...last].flatMap { ["pc-i440fx-\($0)", "pc-q35-\($0)"] }
        // The types up to 11.0 have the compat setting that chooses legacy mode.
        let isLegacy = { (type: String) in
            !generation.has(.perDeviceAcks) || (machineRelease(type) ?? [11, 1]).lexicographicallyPrecedes([11, 1])
        }
        let machines = types + ["microvm", "none"]
        self.init(
            version: SideImplementation.enginePrefix + generation.name, package: "", hasSwitchoverAck: true,
            hasLegacyProperty: generation.has(.perDeviceAcks), statuses: generation.statuses, traceEvents: generation.traceEvents,
            machineTypes: machines.sorted(), aliases: ["q35": "pc-q35-\(releases[last])", "pc": "pc-i440fx-\(releases[last])"],
            modes: generation.has(.perDeviceAcks)
                ? Dictionary(uniqueKeysWithValues: machines.map { ($0, isLegacy($0) ? .legacy : .perDevice) }) : [:])
        announcesRequests = generation.has(.requestMessage)
        losesBandwidthFraction = !generation.has(.fractionalBandwidth)
    }
}

extension SideConfiguration {
    /// What the engine of this side does. Throws for a side that is no engine, as `generation` does.
    package var engineTraits: SideTraits {
        get throws {
            let generation = try generation
            return (ProbedBinary.engine(generation.name)?.features ?? ProbedFeatures(generation)).traits(machine: machine)
        }
    }
}

extension Generation {
    /// The newest release or posting that has no feature which this generation lacks. Defects do not count: they can be switched off.
    private var release: Release {
        let features = features
        guard let newest = Release.allCases.last(where: { features.isSuperset(of: Feature.features(of: $0).subtracting(.quirks)) }) else {
            preconditionFailure("\(name): expected at least the features of 8.1")
        }
        return newest
    }

    /// The trace events that have a form which the release of this generation prints.
    fileprivate var traceEvents: [String] {
        let release = release
        let printed = Event.vocabulary.filter { form in
            form.since.map { Release(date: $0) <= release } ?? true && form.until.map { release < Release(date: $0) } ?? true
        }
        let names = Set(printed.map(\.name))
        return allowedTraceEvents.filter(names.contains)
    }

    fileprivate var statuses: [String] { Status.allCases.filter { $0.exists(in: self) }.map(\.rawValue) }
}

extension Release {
    /// A date in the declaration of an event; a test reads them all.
    fileprivate init(date: String) {
        guard let release = Release(rawValue: date) else {
            preconditionFailure("trace-events: expected a release out of \(Release.allCases.map(\.rawValue)), found \(date)")
        }
        self = release
    }
}

extension ProbedBinary {
    /// The engines that are sides by default, in the order of release.
    package static let engines = ["10.0", "10.1", "10.2", "11.0", "v1", "v2", "11.1"].compactMap { engine($0) }

    /// The engines that are sides only if the user names them: no run of QEMU confirms what 8.1 and the variants do.
    package static let enginesWhenNamed = ["8.1", "postcopy-device-v1", "request-message"].compactMap { engine($0) }

    /// The names of all generations that can be sides.
    package static var engineNames: [String] { (engines + enginesWhenNamed).map(\.generation) }

    /// The engine of the generation with this name; nil if there is none.
    package static func engine(_ generation: String) -> ProbedBinary? { all[generation] }

    /// A variant of the engine of a generation under a label of its own, with the features of that generation; nil if there is none.
    package static func variant(of generation: String, label: String) -> ProbedBinary? {
        engine(generation).map { engine in
            ProbedBinary(
                binary: .engine(generation: "\(generation)\(SideImplementation.variantMark)\(label)"), features: engine.features,
                generation: generation, obstacle: EngineProcess.obstacle(to:))
        }
    }

    /// Kept, since each start of a side looks its features up.
    private static let all = Dictionary(
        uniqueKeysWithValues: Generation.all.flatMap { [$0, $0.corrected] }.map {
            (
                $0.name,
                ProbedBinary(
                    binary: .engine(generation: $0.name), features: ProbedFeatures($0), generation: $0.name,
                    obstacle: EngineProcess.obstacle(to:))
            )
        })
}
