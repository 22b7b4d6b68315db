/// What holds between the two sides: by contents (the k-th ACK sent and the k-th counted, a device's k-th marker and its k-th load, bytes),
/// never by the order of lines in two logs, nor by their clocks.
import MigrationTrace

struct Crossing {
    let source: SourceSide
    let destination: DestinationSide
    let capability: Bool?
    /// Section idstr of a user that is no VFIO device.
    let requester: String?
    /// The source is proved to be stuck.
    let isStuck: Bool

    /// It can get no further.
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

    private var sourceMode: Handshake.Mode? { source.ledger.mode }
    /// 11.1 prints its markers.
    private var printsMarkers: Bool { source.ledger.counts == true }

    // MARK: Devices

    private struct Pair {
        var name: String
        var source: SourceDevice
        var destination: DestinationDevice
    }

    /// By section idstr; those whose idstr a log does not tell by the order in which they appear, which is that of the sections. A source's
    /// device without PRE_COPY is in no section before the end.
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

    /// Missing lines make counts smaller, so none may be missing of the side that has fewer, and it must have reached its end.
    private func counts(_ found: inout [Finding]) {
        if printsMarkers, !source.hasGaps, isOver {
            for pair in pairs where pair.destination.loadCount > pair.source.markers {
                let number = pair.source.markers
                found.append(
                    Finding(
                        rule: .countsAcross, device: pair.name,
                        found: "the destination loaded \(count(pair.destination.loadCount, "marker")), the source wrote \(number)",
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
                        "the destination approved the requester \(count(destination.requesterApprovalCount, "time")), which asked for "
                        + "\(count(number, "ACK"))",
                    places: [number < places.count ? places[number] : places.last, source.ending?.place].compactMap { $0 },
                    legal: "at most \(count(number, "approval"))"))
        }
        if !destination.hasGaps, destination.status.final != nil, source.ledger.acks > destination.sent {
            let number = destination.sent
            found.append(
                Finding(
                    rule: .countsAcross, found: "the source counted \(count(source.ledger.acks, "ACK")), the destination sent \(number)",
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
                            "the source wrote \(marker.bytes) bytes before marker \(index + 1), the destination \(approval.bytes) before "
                            + "its approval",
                        places: [approval.place, marker.place], legal: "\(marker.bytes) bytes written before the approval"))
                break
            }
        }
    }

    // MARK: The meaning of the ACK

    /// Which ACKs the source had when it decided, against those the destination sent for its devices.
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
                    found: "the source decided with \(count(counted, "ACK")); the device is approved by ACK \(index + 1)",
                    places: [decision.spot.place, ack.place, index < source.ackPlaces.count ? source.ackPlaces[index] : nil].compactMap {
                        $0
                    },
                    lastGood: decision.spot.lastGood, legal: "a decision after ACK \(destination.acks.count)"))
        }
    }

    /// Devices that a legacy source did not wait for, as the first ACK of a per-device destination freed it: their marker was never due
    /// before the guest stopped, so that none of their ACKs can be late.
    private func unmarked(_ found: inout [Finding]) {
        guard let decision = source.switchover.decision, decision.guestRan == true, decision.guestIsCertain, capability == true,
            source.ledger.mode == .legacy, destination.mode == .perDevice, source.status.final == .completed, !source.hasGaps,
            !destination.hasGaps, !destination.acks.isEmpty
        else { return }
        for pair in pairs where pair.source.enteredPrecopyAtSetup && pair.destination.approvals.isEmpty {
            found.append(
                Finding(
                    rule: .approvedBeforeDecision, device: pair.name,
                    found: "the source decided, and the device was never approved", places: [decision.spot.place],
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
        func add(_ device: String?, _ text: String, _ places: [Place?], legal: String) {
            found.append(
                Finding(
                    rule: .allAnswered, device: device, found: text, places: places.compactMap { $0 } + [ending.place], lastGood: nil,
                    legal: legal))
        }
        switch (sourceMode, destination.mode) {
        case (.perDevice?, .perDevice?), (.perDevice?, nil):
            for pair in pairs where pair.source.requests != pair.source.markers || pair.source.markers != pair.destination.approvalCount {
                let approvals = pair.destination.approvalCount
                let lost = approvals < pair.source.points.count ? pair.source.points[approvals].place : pair.source.points.last?.place
                add(
                    pair.name, "\(pair.source.requests) requests, \(pair.source.markers) markers and \(approvals) approvals", [lost],
                    legal: "as many of each")
            }
            if let requester, source.ledger.ofRequester != destination.requesterApprovalCount {
                add(
                    requester,
                    "\(count(source.ledger.ofRequester, "ACK")) requested by the requester, "
                        + "\(count(destination.requesterApprovalCount, "approval"))",
                    [destination.requesterApprovals.last], legal: "as many of each")
            }
            if sent != counted {
                add(
                    nil, "\(count(sent, "ACK")) sent, \(counted) counted",
                    [counted < destination.acks.count ? destination.acks[counted].place : nil, source.ackPlaces.last],
                    legal: "every ACK counted before the end")
            } else if counted != source.ledger.collected {
                add(
                    nil, "\(count(source.ledger.collected, "ACK")) requested, \(counted) counted",
                    [source.ackPlaces.last, destination.acks.last?.place],
                    legal: "as many ACKs as requests")
            }
        case (.legacy?, .legacy?) where sent != 1 || counted != 1:
            add(
                nil, "\(count(sent, "ACK")) sent and \(counted) counted in legacy mode",
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
        found.append(
            Finding(
                rule: .sameMode,
                found:
                    "the source in \(sourceMode.rawValue) mode waits for \(count(wanted, "ACK")), the destination in \(mode.rawValue) "
                    + "mode sent \(destination.sent)",
                places: [shown, destination.acks.last?.place].compactMap { $0 },
                lastGood: (source.ledger.underflow ?? source.switchover.decision?.spot)?.lastGood,
                legal: "the same machine type, or switchover-ack-legacy set alike, on both sides"))
    }

    /// Whether the source is sent more ACKs than it waits for, or waits for one that never comes. A destination that fails for
    /// another reason sends fewer, too.
    private func isUnserved(_ sourceMode: Handshake.Mode) -> Bool {
        let wanted = sourceMode == .legacy ? 1 : source.ledger.collected
        if destination.sent > wanted, sourceMode == .legacy || !source.hasGaps { return true }
        // A legacy destination that has sent its ACK sends no other.
        if sourceMode == .perDevice, destination.sent == 1, destination.counter == 0, source.ledger.owed > 0 { return true }
        return isStuck && destination.sent < wanted
    }
}
