/// Checks of the states: every arc and combination of arcs, what GET says, and numbers that are no states.
import MigrationTrace
import SystemPackage
import VFIO

private let states = "enum vfio_device_mig_state"
private let deviceState = "VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE"

let stateChecks: [Check] =
    [
        Check("state-at-open", "the device is RUNNING when it is opened", states, isDestructive: true) { bench throws(Departure) in
            try bench.enter(.stop)
            try bench.reopen()
            try bench.expectState(.running, after: "close() in STOP and open()")
        },
        Check("state-get", "GET gives each state that was set, and data_fd -1", deviceState) { bench throws(Departure) in
            for state in bench.states {
                try bench.reach(state)
                try bench.expectState(state, after: "SET \(state.rawValue)")
                let descriptor = bench.device.getState().value?.descriptor
                try bench.require(descriptor == -1, "GET has data_fd -1 in \(state.rawValue)", found: "\(descriptor ?? 0)")
                try bench.settle()
            }
        },
        Check("state-same", "SET of the present state succeeds and opens nothing", deviceState) { bench throws(Departure) in
            for state in bench.states {
                try bench.reach(state)
                let descriptor = try bench.enter(state)
                try bench.require(
                    descriptor == nil, "SET \(state.rawValue) in \(state.rawValue) has data_fd -1", found: "\(descriptor?.number ?? 0)")
                try bench.settle()
            }
        },
        Check("state-unknown", "a number that is no state is EINVAL", states) { bench throws(Departure) in
            for number: UInt32 in [8, 99, .max] {
                try bench.fail("SET of state \(number)", bench.device.setState(number: number), with: .invalidArgument)
            }
            try bench.expectState(.running, after: "SET of unknown states")
        },
        Check("state-error", "ERROR cannot be requested", states) { bench throws(Departure) in
            try bench.fail("SET ERROR", bench.device.setState(.error), with: .invalidArgument)
            try bench.expectState(.running, after: "SET ERROR")
        },
        Check("state-missing", "a state that the flags exclude is EINVAL", states) { bench throws(Departure) in
            let missing = allStates.filter { !bench.states.contains($0) }
            guard !missing.isEmpty else { throw bench.skip("the device has every state") }
            for state in missing { try bench.fail("SET \(state.rawValue)", bench.device.setState(state), with: .invalidArgument) }
        },
    ] + arcs

let allStates: [VFIOState] = [.stop, .running, .stopCopy, .resuming, .runningP2P, .preCopy, .preCopyP2P]

/// One check for each pair of states.
private let arcs: [Check] = allStates.flatMap { from in
    allStates.filter { $0 != from }.map { to in
        let isLegal = from != .stopCopy || to != .preCopy && to != .preCopyP2P
        let statement = "\(from.rawValue) to \(to.rawValue) \(isLegal ? "succeeds" : "is EINVAL")"
        return Check("arc-\(word(from))-\(word(to))", statement, states, needs: needs(from).union(needs(to))) { bench throws(Departure) in
            try bench.reach(from)
            if isLegal {
                try bench.enter(to)
            } else {
                try bench.fail("SET \(to.rawValue) in \(from.rawValue)", bench.device.setState(to), with: .invalidArgument)
            }
        }
    }
}

private func word(_ state: VFIOState) -> String { state.rawValue.lowercased().replacing("_", with: "") }

private func needs(_ state: VFIOState) -> Set<Ability> {
    switch state {
    case .runningP2P: [.p2p]
    case .preCopy: [.precopy]
    case .preCopyP2P: [.p2p, .precopy]
    default: []
    }
}
