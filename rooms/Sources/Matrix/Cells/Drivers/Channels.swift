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
            // No gate is needed: no ACK arrives, whenever it is sent.
            if held != nil { draft.plan.leg.schedule = [.open(.destination, gate: "load")] }
            // The destination has everything when the source's wait for its last word is looked at.
            if predict(draft.scenario).first?.requests?.contains(1) != true, !draft.awaitsLegacyAck {
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
            draft.plan.source.capabilities["background-snapshot"] = true
        },
        Driver("colo", "to replicate the guest by COLO") { draft in
            draft.serve(.colo)
            draft.plan.source.capabilities["x-colo"] = true
            draft.plan.leg.destination.capabilities["x-colo"] = true
            draft.plan.leg.alsoFinal = ["colo"]
        },
        Driver("cpr-reboot", "to restart the host under the guest") { draft in
            draft.serve(.cprReboot)
            draft.plan.source.parameters["mode"] = "cpr-reboot"
            draft.plan.leg.schedule = []
            draft.plan.leg.haltsDestination = false
        },
        Driver("cpr-transfer", "to a new QEMU that shares the memory, which it does not here") { draft in
            draft.serve(.cprTransfer)
            draft.plan.source.parameters["mode"] = "cpr-transfer"
        },
        Driver("cpr-exec", "to a new QEMU in the same process, without its command") { draft in
            draft.serve(.cprExec)
            draft.plan.source.parameters["mode"] = "cpr-exec"
        },
    ]
}

extension Draft {
    /// Waits for an ACK that does not depend on devices.
    fileprivate var awaitsLegacyAck: Bool { scenario.source.capability && scenario.source.mode == .legacy }

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

    fileprivate mutating func serve(_ purpose: Purpose) { scenario.purpose = purpose }
}
