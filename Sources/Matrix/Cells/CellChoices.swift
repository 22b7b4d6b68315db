/// One typed choice on every axis of the matrix: what a selection of a matrix file means.
///
/// To add a value to an axis, add a case to the axis' type, its word to the axis in `harness/matrix/default.yaml`, and what the value does
/// where the compiler then reports a switch that is not exhaustive: three files. A driver and a guest module are one entry of a list each,
/// so that they take two. A word that only one of the two places knows is refused when the matrix file is read.
import Plan
import Prediction

/// A value of an axis.
package protocol AxisChoice: CaseIterable, Hashable, Sendable {
    /// The value's word in a matrix file. The axis' token makes the word for a cell's name of it.
    var word: String { get }
}

extension AxisChoice where Self: RawRepresentable, RawValue == String {
    package var word: String { rawValue }
}

extension AxisChoice where Self: RawRepresentable, RawValue == Int {
    package var word: String { String(rawValue) }
}

/// What a side's binary can do: one ACK for all devices (8.1 to 11.0), an ACK per device request as well (11.1), or no switchover-ack.
package enum AckSupport: String, AxisChoice {
    case legacyOnly = "legacy-only"
    case perDevice = "per-device"
    case without

    /// True if a binary with these probed features is such a binary; its name and version have no say.
    func fits(_ features: ProbedFeatures) -> Bool {
        switch self {
        case .legacyOnly: features.hasSwitchoverAck && !features.hasLegacyProperty
        case .perDevice: features.hasLegacyProperty
        case .without: !features.hasSwitchoverAck
        }
    }
}

package enum MachineBoard: String, AxisChoice {
    case q35, i440fx, microvm, none
}

/// Which of a board's machine types.
package enum MachineKind: String, AxisChoice {
    /// The newest versioned type that both sides run in legacy mode.
    case newestLegacy = "newest-legacy"
    /// The newest versioned type that both sides run in per-device mode.
    case newestPerDevice = "newest-per-device"
    /// Every versioned type that both sides run in legacy mode, each in a cell of its own.
    case eachLegacy = "each-legacy"
    case unversioned
    /// The bare name, which stands for another type in each binary.
    case alias
}

/// The number of VFIO devices on each side.
package enum DeviceCount: Int, AxisChoice {
    case zero = 0
    case one, two, three, four
    case eight = 8
}

/// How one device of four differs from the others, on both sides.
package enum OddAbility: String, AxisChoice {
    case none, precopy, reinit
    /// It can do what the others can, and goes on dirtying its state.
    case busy
}

/// Which device of four differs, in plug order.
package enum OddDevice: Int, AxisChoice {
    case first = 1
    case second, third, fourth

    /// The device's position, from 0.
    var index: Int { rawValue - 1 }
}

/// Which devices have P2P states.
package enum P2PStates: String, AxisChoice {
    case all, without
    case firstWithout = "first-without"

    /// True if the device at this position has P2P states.
    func has(_ index: Int) -> Bool {
        switch self {
        case .all: true
        case .without: false
        case .firstWithout: index > 0
        }
    }
}

package enum Activity: String, AxisChoice {
    case idle
    /// Every device goes on dirtying its state.
    case busy
}

/// How often a device re-initialises after its initial bytes were sent.
package enum Reinits: AxisChoice {
    case times(Int)
    /// At every query that finds the initial bytes drained.
    case forever

    package static let allCases = (0...4).map { Reinits.times($0) } + [.forever]

    package var word: String {
        switch self {
        case .times(let count): String(count)
        case .forever: "for-ever"
        }
    }
}

/// The order in which the destination's devices are plugged, against the source's.
package enum PlugOrder: String, AxisChoice {
    case same, reversed
}

/// Which sides have the capability switchover-ack switched on.
package enum CapabilitySides: String, AxisChoice {
    case both, source, destination, off

    func has(_ role: Role) -> Bool {
        switch self {
        case .both: true
        case .source: role == .source
        case .destination: role == .destination
        case .off: false
        }
    }
}

/// What decides a side's mode.
package enum LegacyProperty: String, AxisChoice {
    /// The machine type, on both sides.
    case machine
    /// Legacy mode is set by hand on this side, the machine type decides on the other.
    case source, destination

    func isSet(on role: Role) -> Bool {
        switch self {
        case .machine: false
        case .source: role == .source
        case .destination: role == .destination
        }
    }
}

/// How the destination loads.
package enum Pace: String, AxisChoice {
    /// A gate holds the last load until the source was seen to wait for its ACK.
    case gated
    /// Each write takes half a second.
    case slow
    /// The destination writes so slowly that the source's socket stays full.
    case blocked
}

package enum DestinationGuest: String, AxisChoice {
    case starts
    /// The destination is started with `-S`, and waits for its manager's `cont`.
    case paused
}

/// What the link carries.
package enum Bandwidth: String, AxisChoice {
    case ample
    case oneMiB = "1M"
    case sixteenMiB = "16M"
    case unlimited
}

/// Whether the reset that QEMU falls back on, where a device refuses a state, works.
package enum ResetWorks: String, AxisChoice {
    case works, fails
}

extension Ability: AxisChoice {}
extension Scenario.LateReinit: AxisChoice {}
extension Scenario.Guest: AxisChoice {}
extension Scenario.Estimate: AxisChoice {}
extension Scenario.Race: AxisChoice {}
extension Threshold: AxisChoice {}
extension BreakMoment: AxisChoice {}
extension FailingCall: AxisChoice {}
extension CallErrno: AxisChoice {}

/// The axes of the matrix.
package enum CellAxis: String, CaseIterable, Sendable {
    case source, destination, board, type, devices, ability
    case destinationAbility = "destination-ability"
    case oddAbility = "odd-ability"
    case odd, p2p, activity, reinits, moment, order, capability
    case legacyProperty = "legacy-property"
    case pace, guest
    case destinationGuest = "destination-guest"
    case estimate, threshold, bandwidth, driver, race, when, call, errno, reset, modules

    /// The word for none of the values, on an axis that may have none.
    fileprivate var absence: String? {
        switch self {
        case .destinationAbility: "same"
        case .oddAbility, .when, .call: "-"
        case .odd: "no"
        case .moment: "window"
        case .threshold: "ample"
        case .driver: "plain"
        case .source, .destination, .board, .type, .devices, .ability, .p2p, .activity, .reinits, .order, .capability, .legacyProperty,
            .pace,
            .guest, .destinationGuest, .estimate, .bandwidth, .race, .errno, .reset, .modules:
            nil
        }
    }

    /// True if a cell's name says the choice by its sides and its machine, and not by a token.
    var isInSidesAndMachine: Bool { [.source, .destination, .board, .type].contains(self) }

    /// The words that a matrix file lists as the axis' values, all of them and no other.
    package var words: [String] {
        func words<Choice: AxisChoice>(_: Choice.Type) -> [String] { (absence.map { [$0] } ?? []) + Choice.allCases.map(\.word) }
        return switch self {
        case .source, .destination: words(AckSupport.self)
        case .board: words(MachineBoard.self)
        case .type: words(MachineKind.self)
        case .devices: words(DeviceCount.self)
        case .ability, .destinationAbility: words(Ability.self)
        case .oddAbility: words(OddAbility.self)
        case .odd: words(OddDevice.self)
        case .p2p: words(P2PStates.self)
        case .activity: words(Activity.self)
        case .reinits: words(Reinits.self)
        case .moment: words(Scenario.LateReinit.self)
        case .order: words(PlugOrder.self)
        case .capability: words(CapabilitySides.self)
        case .legacyProperty: words(LegacyProperty.self)
        case .pace: words(Pace.self)
        case .guest: words(Scenario.Guest.self)
        case .destinationGuest: words(DestinationGuest.self)
        case .estimate: words(Scenario.Estimate.self)
        case .threshold: words(Threshold.self)
        case .bandwidth: words(Bandwidth.self)
        case .driver: words(Driver.self)
        case .race: words(Scenario.Race.self)
        case .when: words(BreakMoment.self)
        case .call: words(FailingCall.self)
        case .errno: words(CallErrno.self)
        case .reset: words(ResetWorks.self)
        case .modules: words(GuestModules.self)
        }
    }
}

/// A word that no value of the axis has, or an axis that the selection lacks.
package struct UnknownChoice: Error, Hashable, Sendable, CustomStringConvertible {
    package let axis: CellAxis
    /// nil: the selection has no such axis.
    package let word: String?

    package var description: String {
        guard let word else { return "expected a value on axis '\(axis.rawValue)', found a selection without that axis" }
        return "expected a value of axis '\(axis.rawValue)' (\(axis.words.joined(separator: ", "))), found '\(word)'"
    }
}

package struct CellChoices: Hashable, Sendable {
    let source: AckSupport
    let destination: AckSupport
    let board: MachineBoard
    let type: MachineKind
    let devices: DeviceCount
    let ability: Ability
    /// nil: that of the source's device.
    let destinationAbility: Ability?
    /// nil: no device differs.
    let oddAbility: OddAbility?
    let odd: OddDevice?
    let p2p: P2PStates
    let activity: Activity
    let reinits: Reinits
    /// When the last REINIT comes; nil: while the source iterates.
    let late: Scenario.LateReinit?
    let order: PlugOrder
    let capability: CapabilitySides
    let legacyProperty: LegacyProperty
    let pace: Pace
    let guest: Scenario.Guest
    let destinationGuest: DestinationGuest
    let estimate: Scenario.Estimate
    /// nil: far above what is pending.
    let threshold: Threshold?
    let bandwidth: Bandwidth
    /// nil: nothing is done around the migration.
    let driver: Driver?
    let race: Scenario.Race
    /// nil: nothing breaks at a moment.
    let breakMoment: BreakMoment?
    /// nil: no call fails.
    package let failingCall: FailingCall?
    let errno: CallErrno
    let reset: ResetWorks
    let modules: GuestModules

    /// Reads a selection; throws `UnknownChoice` where a word on it has no meaning, which the reader of a matrix file refuses with its
    /// place.
    package init(_ selection: Selection) throws(UnknownChoice) {
        func optional<Choice: AxisChoice>(_ axis: CellAxis, _: Choice.Type = Choice.self) throws(UnknownChoice) -> Choice? {
            guard let word = selection.value(on: axis.rawValue) else { throw UnknownChoice(axis: axis, word: nil) }
            if word == axis.absence { return nil }
            guard let choice = Choice.allCases.first(where: { $0.word == word }) else { throw UnknownChoice(axis: axis, word: word) }
            return choice
        }
        func choice<Choice: AxisChoice>(_ axis: CellAxis) throws(UnknownChoice) -> Choice {
            guard let choice = try optional(axis, Choice.self) else { throw UnknownChoice(axis: axis, word: axis.absence) }
            return choice
        }
        source = try choice(.source)
        destination = try choice(.destination)
        board = try choice(.board)
        type = try choice(.type)
        devices = try choice(.devices)
        ability = try choice(.ability)
        destinationAbility = try optional(.destinationAbility)
        oddAbility = try optional(.oddAbility)
        odd = try optional(.odd)
        p2p = try choice(.p2p)
        activity = try choice(.activity)
        reinits = try choice(.reinits)
        late = try optional(.moment)
        order = try choice(.order)
        capability = try choice(.capability)
        legacyProperty = try choice(.legacyProperty)
        pace = try choice(.pace)
        guest = try choice(.guest)
        destinationGuest = try choice(.destinationGuest)
        estimate = try choice(.estimate)
        threshold = try optional(.threshold)
        bandwidth = try choice(.bandwidth)
        driver = try optional(.driver)
        race = try choice(.race)
        breakMoment = try optional(.when)
        failingCall = try optional(.call)
        errno = try choice(.errno)
        reset = try choice(.reset)
        modules = try choice(.modules)
    }
}
