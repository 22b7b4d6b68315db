import CVFIOMock
import Testing
import VFIO

@Suite struct DeviceScriptTests {
    @Test func abilitiesAndGatesAreRead() throws {
        let script = try DeviceScript(
            "ackmatrix-device 1\nhas precopy reinit\ninitial 64K\non written 64K do hold load\non gate go do reinit 4K\non query 2 do hold load\n",
            file: "v0.script")
        #expect(script.hasPrecopy)
        #expect(script.hasReinit)
        #expect(!script.hasP2P)
        #expect(script.gates == ["load", "go"])
    }

    @Test(arguments: [
        ("", 0, "ackmatrix-device 1"),
        ("# nothing\n", 0, "ackmatrix-device 1"),
        ("ackmatrix-device 2\n", 1, "1"),
        ("ackmatrix-device 1\nhas wings\n", 2, "wings"),
        ("ackmatrix-device 1\nhas precopy\ninitial 7\n", 3, "16"),
        ("ackmatrix-device 1\nhas precopy\n\n# x\non query 0 do dirty 4K\n", 5, "query"),
        ("ackmatrix-device 1\nhas precopy p2p\non state PRE_COPPY do error\n", 3, "PRE_COPPY"),
        ("ackmatrix-device 1\nhas precopy\non gate g do fail EIO\n", 3, "call in progress"),
        ("ackmatrix-device 1\nhas precopy\non call read do fail EWHAT\n", 3, "EWHAT"),
        ("ackmatrix-device 1\nhas precopy\ninitial 99999999999999999999G\n", 3, "99999999999999999999G"),
    ])
    func aWrongScriptIsRefusedWithFileLineAndReason(text: String, line: Int, reason: String) {
        let refusal = #expect(throws: DeviceScript.Refusal.self) { try DeviceScript(text, file: "lab/v0.script") }
        #expect(refusal?.file == "lab/v0.script")
        #expect(refusal?.line == line)
        #expect(refusal?.reason.contains(reason) == true, "\(refusal?.reason ?? "")")
    }

    @Test func bytesThatAreNoTextAreRefused() {
        #expect(throws: DeviceScript.Refusal.self) { try DeviceScript("ackmatrix-device 1\n\u{0}\n", file: "nul") }
        #expect(throws: DeviceScript.Refusal.self) { try DeviceScript(String(repeating: "#", count: 1 << 20), file: "long") }
    }
}
