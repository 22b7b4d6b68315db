/// Migrations to files, pipes and snapshots, and those that serve COLO and CPR.
import Plan
import Prediction

extension Driver {
    static let channelDrivers = [
        Driver("file", "into a file, with the return path that the ACK needs") { draft in draft.send(to: .file, .file) },
        Driver("file-forward-only", "into a file without return path, loaded by the destination when it is complete") { draft in
            draft.dropReturnPath()
            draft.send(to: .file, .file)
        },
        Driver("pipe", "through a pipe of two exec: commands, with the return path that the ACK needs") { draft in
            let held = draft.held
            draft.send(to: .pipe, .pipe)
            // No ACK arrives through a pipe, so that no gate is needed.
            if held != nil { draft.plan.leg.schedule = [.open(.destination, gate: "load")] }
            // The destination has loaded everything when the source looks at how its return path ended.
            if !draft.awaitsACK {
                draft.plan.leg.schedule = [.wait(.status(.destination, "completed", times: 1))]
            }
        },
        Driver("pipe-forward-only", "through a pipe without return path") { draft in
            draft.dropReturnPath()
            draft.send(to: .pipe, .pipe)
        },
        Driver("snapshot", "saved as a snapshot inside a disk, guest stopped") { draft in
            draft.send(to: .snapshot, .snapshot(node: "disk"))
            let file: JSONValue = ["driver": "file", "filename": "disk.qcow2", "size": 0]
            draft.plan.leg.before = [
                .execute(.source, command: "blockdev-create", ["job-id": "file", "options": file]), .concludeJob(.source, id: "file"),
                .execute(.source, command: "blockdev-add", ["driver": "file", "node-name": "file", "filename": "disk.qcow2"]),
                .execute(
                    .source, command: "blockdev-create",
                    ["job-id": "image", "options": ["driver": "qcow2", "file": "file", "size": .integer(1 << 20)]]),
                .concludeJob(.source, id: "image"),
                .execute(.source, command: "blockdev-add", ["driver": "qcow2", "node-name": "disk", "file": "file"]),
            ]
            draft.plan.leg.afterwards = [.concludeJob(.source, id: "snapshot")]
        },
        Driver("background-snapshot", "a snapshot with the guest running, which no return path goes with") { draft in
            draft.serve(.backgroundSnapshot)
        },
        Driver("colo", "to replicate the guest by COLO") { draft in
            // Nobody has confirmed what an older destination does, which awaits the command that later sources no longer send.
            guard !draft.scenario.source.replicates || draft.scenario.destination.replicates else {
                throw draft.unavailable("needs a destination that is no older than its source: COLO began with a command up to 10.2")
            }
            draft.serve(.colo)
        },
        Driver("cpr-reboot", "to restart the host under the guest") { draft in
            draft.serve(.cprReboot)
        },
        Driver("cpr-transfer", "to a new QEMU that shares the memory, which it does not here") { draft in
            draft.serve(.cprTransfer)
        },
        Driver("cpr-exec", "to a new QEMU in the same process, without its command") { draft in
            draft.serve(.cprExec)
        },
    ]
}

extension Draft {
    /// True if the source waits for an ACK: in legacy mode always, else where a device or the requester asks for one.
    fileprivate var awaitsACK: Bool {
        guard scenario.source.capability else { return false }
        switch scenario.source.mode {
        case .legacy: return true
        case .perDevice: return scenario.requester != nil || scenario.devices.contains { $0.source.hasPrecopy }
        }
    }

    fileprivate mutating func dropReturnPath() {
        scenario.hasReturnPath = false
        plan.source.capabilities["return-path"] = false
        plan.leg.destination.capabilities["return-path"] = false
    }

    fileprivate mutating func send(to sink: Sink, _ channel: MigrationLeg.Channel) {
        scenario.sink = sink
        plan.leg.channel = channel
        plan.leg.schedule = []
        plan.leg.haltsDestination = false
    }

    /// Makes the migration one that serves another purpose than to move the guest.
    fileprivate mutating func serve(_ purpose: Purpose) {
        scenario.purpose = purpose
        switch purpose {
        case .backgroundSnapshot: plan.source.capabilities["background-snapshot"] = true
        case .colo:
            plan.source.capabilities["x-colo"] = true
            plan.leg.destination.capabilities["x-colo"] = true
            plan.leg.alsoFinal = ["colo"]
        case .cprReboot:
            plan.source.parameters["mode"] = "cpr-reboot"
            plan.leg.schedule = []
            plan.leg.haltsDestination = false
        case .cprTransfer: plan.source.parameters["mode"] = "cpr-transfer"
        case .cprExec: plan.source.parameters["mode"] = "cpr-exec"
        }
    }
}
