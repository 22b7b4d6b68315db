/// Where errors and cancels lead, from every status.
import Testing

@testable import SwitchoverProtocol

@Suite struct FailurePathTests {
    /// A source: after an error of the channel; of the channel as postcopy ends; any other. `F` stands for the way to failed.
    static let source: [(Status, String, String, String)] = [
        (.none, "", "", ""), (.setup, "F", "F", "F"), (.waitUnplug, "F", "F", "F"), (.active, "F", "F", "F"),
        (.preSwitchover, "F", "F", "F"),
        (.device, "F", "F", "F"), (.postcopyDevice, "F", "F", "F"), (.postcopyActive, "postcopy-paused", "Q", "F"),
        (.postcopyPaused, "", "", ""), (.postcopyRecoverSetup, "postcopy-paused", "postcopy-paused", "postcopy-paused"),
        (.postcopyRecover, "postcopy-paused", "postcopy-paused", "postcopy-paused"), (.colo, "F", "F", "F"), (.completed, "", "", ""),
        (.cancelling, "cancelled", "cancelled", "cancelled"), (.cancelled, "", "", ""), (.failing, "failed", "failed", "failed"),
        (.failed, "", "", ""),
    ]

    @Test(arguments: Generation.all + Generation.all.map(\.corrected)) func sourceFails(_ generation: Generation) {
        let base = generation.name.split(separator: "-corrected").joined()
        let isNew = ["11.0", "v1", "v2", "11.1", "request-message"].contains(base)
        let isWrong = base == generation.name
        for (status, channel, atEnd, other) in Self.source {
            guard let machine = machine(generation, .source, at: status) else {
                #expect(!status.exists(in: generation), "\(generation.name): \(status.rawValue) is not reached")
                continue
            }
            for (cause, text) in [(FailureCause.channel, channel), (.channelAtPostcopyEnd, atEnd), (.other, other)] {
                let way = text == "Q" ? (isWrong ? "F" : "postcopy-paused") : text
                let expected = way == "F" ? (isNew ? ["failing", "failed"] : ["failed"]) : way.isEmpty ? [] : [way]
                #expect(machine.failure(cause).map(\.rawValue) == expected, "\(generation.name) \(status.rawValue) \(cause)")
                walk(machine, machine.failure(cause))
            }
        }
    }

    @Test(arguments: Generation.all) func destinationFails(_ generation: Generation) {
        for status in Status.allCases {
            guard let machine = machine(generation, .destination, at: status) else { continue }
            for cause in [FailureCause.channel, .channelAtPostcopyEnd, .other] {
                for handedOver in [false, true] {
                    let expected: [Status] =
                        switch status {
                        case .active, .postcopyDevice, .colo: [.failed]
                        case .postcopyActive: handedOver && cause != .other ? [.postcopyPaused] : [.failed]
                        case .postcopyRecoverSetup, .postcopyRecover: [.postcopyPaused]
                        default: []
                        }
                    let way = machine.failure(cause, guestHandedOver: handedOver)
                    #expect(way == expected, "\(generation.name) \(status.rawValue) \(cause) \(handedOver)")
                    walk(machine, way)
                }
            }
        }
    }

    /// A way is made of legal arcs.
    private func walk(_ machine: StatusMachine, _ way: [Status]) {
        var machine = machine
        for status in way { #expect(machine.change(from: machine.status, to: status) == true) }
        #expect(machine.illegal == nil)
    }

    @Test(arguments: Generation.all + Generation.all.map(\.corrected)) func cancels(_ generation: Generation) {
        for status in Status.allCases {
            guard var machine = machine(generation, .source, at: status) else { continue }
            let expected: CancelDecision =
                switch status {
                case .postcopyDevice, .postcopyActive, .postcopyPaused, .postcopyRecoverSetup, .postcopyRecover:
                    .refused(ProtocolError("Postcopy migration in progress, cannot cancel."))
                case .none, .completed, .cancelled, .failed, .cancelling: .nothing
                default: .cancels
                }
            #expect(machine.cancel() == expected, "\(generation.name) \(status.rawValue)")
            // Behind the hand-over it is a quirk of all.
            let refuses = status == .device && generation.name.hasSuffix("-corrected")
            let late = machine.cancel(handedOver: true)
            if refuses {
                #expect(late == .refused(ProtocolError("The destination may be running the guest, cannot cancel.")))
            } else {
                #expect(late == expected, "\(generation.name) \(status.rawValue)")
            }
            guard expected == .cancels else { continue }
            #expect(machine.change(from: status, to: .cancelling) == true)
            #expect(machine.change(from: .cancelling, to: .cancelled) == true)
            #expect(machine.illegal == nil)
        }
    }

    @Test func interruptedSwitchover() { #expect(StatusMachine.interrupted.text == "Switchover is interrupted") }
}
