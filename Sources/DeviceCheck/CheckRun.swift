/// The list of checks, and how it is run.
import MigrationTrace
import SystemPackage
import VFIO

/// All checks in their order, which numbers them.
package let allChecks: [Check] =
    featureChecks + stateChecks + sessionChecks + precopyChecks + dataChecks + resetChecks + loggingChecks

package struct CheckRun {
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Which checks are made: those that cost the device nothing, or all.
    package var isDestructive: Bool
    /// What chunk sizes follow from.
    package var seed: UInt64

    package init(isDestructive: Bool, seed: UInt64) { (self.isDestructive, self.seed) = (isDestructive, seed) }

    /// What the device can do, in the words of the interface.
    package static func abilities(of device: any DeviceRequests) throws(Failure) -> [String] {
        try probed(device).map(\.rawValue).sorted()
    }

    private static func probed(_ device: any DeviceRequests) throws(Failure) -> Set<Ability> {
        let flags: UInt64
        switch device.migrationFlags() {
        case .success(let found): flags = found
        case .failure(.inappropriateIOCTLForDevice):
            throw Failure(description: "\(device.name): the device has no migration driver (ENOTTY)")
        case .failure(let errno): throw Failure(description: "\(device.name): GET MIGRATION failed: \(errno)")
        }
        var abilities: Set<Ability> = []
        if flags & 2 != 0 { abilities.insert(.p2p) }
        if flags & 4 != 0 { abilities.insert(.precopy) }
        if device.feature(.precopyInfoV2, [.set, .probe]).value != nil { abilities.insert(.infoV2) }
        if device.probeDMALogging().value != nil { abilities.insert(.dmaLogging) }
        return abilities
    }

    /// Makes all checks on a device, and loads what it saves into `target`, or itself. Each result is given away at once. If the device
    /// cannot be brought back to RUNNING, the rest is not made: the error says so.
    package func run(
        on device: any DeviceRequests, target: (any DeviceRequests)? = nil, each: (CheckResult) -> Void
    ) throws(Failure) {
        let bench = Bench(device: device, target: target, abilities: try Self.probed(device), seed: seed)
        for check in allChecks {
            each(CheckResult(check: check, outcome: outcome(of: check, on: bench)))
            do { try bench.settle() } catch {
                guard case .deviates(let expected, let found) = error else { continue }
                throw Failure(description: "after \(check.name): expected: \(expected); found: \(found)")
            }
        }
    }

    private func outcome(of check: Check, on bench: Bench) -> CheckResult.Outcome {
        if check.isDestructive && !isDestructive { return .skipped("it can cost the device what it holds: --destructive makes it") }
        if let lacking = check.needs.subtracting(bench.abilities).map(\.rawValue).min() { return .skipped("the device has no \(lacking)") }
        do {
            try bench.settle()
            try check.body(bench)
            return .passed
        } catch {
            switch error {
            case .deviates(let expected, let found): return .deviates(expected: expected, found: found)
            case .skipped(let reason): return .skipped(reason)
            }
        }
    }
}
