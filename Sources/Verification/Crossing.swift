/// The rules between the two sides. They compare contents (the k-th ACK sent with the k-th ACK counted, a device's k-th marker with its
/// k-th load, bytes), never the order of lines in two logs or the clocks of two hosts.
import MigrationTrace

struct Crossing {
    let source: SourceSide
    let destination: DestinationSide
    let capability: Bool?
    /// Section idstr of the user of switchover-ack that is no VFIO device.
    let requester: String?
    /// True if the source is proved to be stuck.
    let isStuck: Bool

    /// True if the source will do nothing more.
    private var isOver: Bool { isStuck || source.status.final != nil }

    var findings: [Finding] {
        var found: [Finding] = []
        counts(&found)
        bytes(&found)
        order(&found)
        unmarked(&found)
        answers(&found)
        modes(&found)
        return found
    }

    private var sourceMode: SwitchoverAckMode? { source.ledger.mode }
    /// True for a source that prints its markers (11.1).
    private var printsMarkers: Bool { source.ledger.counts == true }

    // MARK: Devices

    private struct Pair {
        var name: String
        var source: SourceDevice
        var destination: DestinationDevice
    }

    /// The devices of both sides, matched by section idstr. Devices whose idstr is not known are matched by the order in which they appear,
    /// which is that of the sections: a source's device without PRE_COPY has no section before the end.
    private var pairs: [Pair] {
        let from = source.names
        let to = destination.names
        var found: [Pair] = []
        var (unnamed, rest): ([SourceDevice], [DestinationDevice]) = ([], destination.devices)
        for device in source.devices.all {
            let idstr = from.idstr(of: device.name)
            if from.isNamed(device.name), let index = rest.firstIndex(where: { to.isNamed($0.name) && to.idstr(of: $0.name) == idstr }) {
                found.append(Pair(name: idstr, source: device, destination: rest.remove(at: index)))
            } else {
                unnamed.append(device)
            }
        }
        guard unnamed.count == rest.count else { return found }
        return found + zip(unnamed, rest).map { Pair(name: from.idstr(of: $0.name), source: $0, destination: $1) }
    }

    // MARK: Counts

    /// Missing lines make counts too small, so the side with the smaller count must have no missing lines, and must have ended.
    private func counts(_ found: inout [Finding]) {
        if printsMarkers, !source.hasGaps, isOver {
            for pair in pairs where pair.destination.loadCount > pair.source.markers {
                let number = pair.source.markers
                found.append(
                    Finding(
                        rule: .countsAcross, device: pair.name,
                        found: "the destination loaded \(count(pair.destination.loadCount, "marker")), but the source wrote \(number)",
                        places: [
                            number < pair.destination.loads.count ? pair.destination.loads[number] : nil, pair.source.points.last?.place,
                        ]
                        .compactMap { $0 },
                        legal: "at most \(count(number, "marker"))"))
            }
        }
        if let requester, isOver, !source.hasGaps, sourceMode == .perDevice, destination.requesterApprovalCount > source.ledger.ofRequester
        {
            let number = source.ledger.ofRequester
            let places = destination.requesterApprovals
            found.append(
                Finding(
                    rule: .countsAcross, device: requester,
                    found:
                        "the destination approved \(requester) \(count(destination.requesterApprovalCount, "time")), but the source "
                        + "collected \(count(number, "request")) of \(requester)",
                    places: [number < places.count ? places[number] : places.last, source.ending?.place].compactMap { $0 },
                    legal: "at most \(count(number, "approval"))"))
        }
        if !destination.hasGaps, destination.status.final != nil, source.ledger.acks > destination.sent {
            let number = destination.sent
            found.append(
                Finding(
                    rule: .countsAcross,
                    found: "the source counted \(count(source.ledger.acks, "ACK")), but the destination sent \(number)",
                    places: [number < source.ackPlaces.count ? source.ackPlaces[number] : nil, destination.acks.last?.place].compactMap {
                        $0
                    },
                    legal: "at most \(count(number, "ACK"))"))
        }
    }

    private func bytes(_ found: inout [Finding]) {
        guard printsMarkers, !source.hasGaps, !destination.hasGaps else { return }
        for pair in pairs {
            for (index, (marker, approval)) in zip(pair.source.points, pair.destination.approvals).enumerated()
            where marker.bytes != approval.bytes {
                found.append(
                    Finding(
                        rule: .bytesAcross, device: pair.name,
                        found:
                            "the source sent \(marker.bytes) bytes before marker \(index + 1), but the destination wrote "
                            + "\(approval.bytes) bytes before it approved the marker",
                        places: [approval.place, marker.place], legal: "\(marker.bytes) bytes written before the approval"))
                break
            }
        }
    }

    // MARK: The meaning of the ACK

    /// Compares the ACKs that the source had counted when it decided with those that the destination sent for its devices.
    private func order(_ found: inout [Finding]) {
        guard let decision = source.switchover.decision, decision.guestRan == true, capability != false, destination.mode == .perDevice
        else { return }
        let isLate = decision.missing == 1 && decision.acksAfter > 0 && decision.refuted == nil
        let counted = max(decision.acksBefore + (isLate ? 1 : 0), printsMarkers ? 0 : decision.acksAtDevice ?? 0)
        guard counted < destination.acks.count, !source.hasGaps, !destination.hasGaps else { return }
        let early = Set(destination.acks.prefix(counted).compactMap(\.device))
        var named: Set<String> = []
        for (index, ack) in destination.acks.enumerated().dropFirst(counted) {
            guard let device = ack.device, !early.contains(device), named.insert(device).inserted else { continue }
            found.append(
                Finding(
                    rule: .approvedBeforeDecision, device: destination.names.idstr(of: device),
                    found: "the source decided after \(count(counted, "ACK")), but the device's approval is ACK \(index + 1)",
                    places: [decision.spot.place, ack.place, index < source.ackPlaces.count ? source.ackPlaces[index] : nil].compactMap {
                        $0
                    },
                    lastGood: decision.spot.lastGood, legal: "a decision after ACK \(destination.acks.count)"))
        }
    }

    /// Devices that a legacy source did not wait for, because the first ACK of a per-device destination let it decide. Their markers were
    /// not due before the guest stopped, so the destination never sent an ACK for them.
    private func unmarked(_ found: inout [Finding]) {
        guard let decision = source.switchover.decision, decision.guestRan == true, decision.guestIsCertain, capability == true,
            source.ledger.mode == .legacy, destination.mode == .perDevice, source.status.final == .completed, !source.hasGaps,
            !destination.hasGaps, !destination.acks.isEmpty
        else { return }
        for pair in pairs where pair.source.enteredPrecopyAtSetup && pair.destination.approvals.isEmpty {
            found.append(
                Finding(
                    rule: .approvedBeforeDecision, device: pair.name,
                    found: "the source decided, but the destination never approved the device", places: [decision.spot.place],
                    lastGood: decision.spot.lastGood, legal: "a decision after the device's ACK"))
        }
    }

    private func answers(_ found: inout [Finding]) {
        guard source.status.final == .completed, let ending = source.ending, let decision = source.switchover.decision,
            decision.guestRan == true,
            capability == true, !source.hasGaps, !destination.hasGaps, destination.status.final == .completed
        else { return }
        let sent = destination.sent
        let counted = source.ledger.acks
        func add(_ device: String?, _ text: String, _ places: [Place?], legal: String, on further: [Evidence] = []) {
            var finding = Finding(
                rule: .allAnswered, device: device, found: text, places: places.compactMap { $0 } + [ending.place], lastGood: nil,
                legal: legal)
            finding.evidence += further
            found.append(finding)
        }
        switch (sourceMode, destination.mode) {
        case (.perDevice?, .perDevice?), (.perDevice?, nil):
            for pair in pairs where pair.source.requests != pair.source.markers || pair.source.markers != pair.destination.approvalCount {
                let approvals = pair.destination.approvalCount
                let lost = approvals < pair.source.points.count ? pair.source.points[approvals].place : pair.source.points.last?.place
                add(
                    pair.name,
                    "the device has \(count(pair.source.requests, "request")), \(count(pair.source.markers, "marker")) and "
                        + "\(count(approvals, "approval"))",
                    [lost],
                    legal: "the same number of each",
                    on: [
                        .source("vfio_state_pending"), .source("vfio_send_init_data_flag"), .destination("loadvm_approve_switchover"),
                        .destination("vfio_load_state"),
                    ])
            }
            if let requester, source.ledger.ofRequester != destination.requesterApprovalCount {
                add(
                    requester,
                    "\(requester) has \(count(source.ledger.ofRequester, "request")) and "
                        + "\(count(destination.requesterApprovalCount, "approval"))",
                    [destination.requesterApprovals.last], legal: "the same number of each",
                    on: [.source("vfio_state_pending"), .destination("loadvm_approve_switchover")])
            }
            if sent != counted {
                add(
                    nil, "the destination sent \(count(sent, "ACK")), but the source counted \(counted)",
                    [counted < destination.acks.count ? destination.acks[counted].place : nil, source.ackPlaces.last],
                    legal: "every ACK counted before the migration completes")
            } else if counted != source.ledger.collected {
                add(
                    nil, "the source collected \(count(source.ledger.collected, "request")), but counted \(count(counted, "ACK"))",
                    [source.ackPlaces.last, destination.acks.last?.place],
                    legal: "as many ACKs as requests")
            }
        case (.legacy?, .legacy?) where sent != 1 || counted != 1:
            add(
                nil, "in legacy mode, the destination sent \(count(sent, "ACK")) and the source counted \(counted)",
                [source.ackPlaces.last, destination.acks.last?.place],
                legal: "exactly one ACK")
        default: break
        }
    }

    private func modes(_ found: inout [Finding]) {
        guard isOver, capability != false, let sourceMode, let mode = destination.mode, mode != sourceMode,
            source.switchover.finalCollected == 0,
            isUnserved(sourceMode)
        else { return }
        let wanted = sourceMode == .legacy ? 1 : source.ledger.collected
        let shown = source.ledger.underflow?.place ?? source.switchover.decision?.spot.place ?? source.last?.place
        var finding = Finding(
            rule: .sameMode,
            found:
                "the source in \(sourceMode.rawValue) mode waits for \(count(wanted, "ACK")), but the destination in "
                + "\(mode.rawValue) mode sent \(destination.sent)",
            places: [shown, destination.acks.last?.place].compactMap { $0 },
            lastGood: (source.ledger.underflow ?? source.switchover.decision?.spot)?.lastGood,
            legal: "the same machine type, or the same value of switchover-ack-legacy, on both sides")
        // As many were sent as were asked for: only the lines of those counted show that one is still owed.
        if destination.sent == wanted { finding.evidence.append(.source("source_return_path_thread_switchover_acked")) }
        found.append(finding)
    }

    /// True if the destination sends more ACKs than the source waits for, or not all of them. A destination that fails for another reason
    /// sends too few, too.
    private func isUnserved(_ sourceMode: SwitchoverAckMode) -> Bool {
        let wanted = sourceMode == .legacy ? 1 : source.ledger.collected
        if destination.sent > wanted, sourceMode == .legacy || !source.hasGaps { return true }
        // A legacy destination sends only one ACK.
        if sourceMode == .perDevice, destination.sent == 1, destination.counter == 0, source.ledger.owed > 0 { return true }
        return isStuck && destination.sent < wanted
    }
}
