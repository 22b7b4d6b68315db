/// A device script: a text with a mock device's abilities, its speed, and what happens to the device when.
///
/// The grammar is documented in `harness/vfio/include/device_script.h`. The shim inside QEMU, the engine's mock backend and this type use
/// the same parser; this type refuses a wrong script before any side is started.
import CVFIOMock

package struct DeviceScript: Hashable, Sendable {
    /// Bytes that a script may have.
    package static let longestText = Int(SCRIPT_MAX_TEXT)

    /// The script as written.
    package let text: String
    /// The gates the script mentions, in order of first mention.
    package let gates: [String]
    /// The abilities that the device reports.
    package let hasPrecopy: Bool
    package let hasP2P: Bool
    package let hasReinit: Bool
    /// True if the device answers MIG_PRECOPY_INFOv2.
    package let offersInfoV2: Bool
    /// The calls that the rules are on, by their names in scripts.
    package let calls: Set<String>

    /// Why a script was refused.
    package struct Refusal: Error, Hashable, CustomStringConvertible {
        /// The file, or another name that the caller gave.
        package let file: String
        /// The line, from 1; 0 for the script as a whole.
        package let line: Int
        package let reason: String

        package init(file: String, line: Int, reason: String) {
            self.file = file
            self.line = line
            self.reason = reason
        }

        package var description: String { "\(file):\(line): \(reason)" }
    }

    /// Parses a script. `file` appears in a refusal only.
    package init(_ text: String, file: String) throws(Refusal) {
        var text = text
        // The structs are some 15 KB: kept on the heap, once per parse.
        let script = UnsafeMutablePointer<device_script>.allocate(capacity: 1)
        defer { script.deallocate() }
        var refusal = script_refusal()
        let accepted = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { chars in
                // An empty string has no base address; the parser wants one even for 0 bytes.
                chars.baseAddress.map { device_script_parse($0, chars.count, script, &refusal) }
                    ?? device_script_parse("", 0, script, &refusal)
            }
        }
        guard accepted else {
            throw Refusal(file: file, line: Int(refusal.line), reason: string(refusal.reason))
        }
        self.text = text
        self.hasPrecopy = script.pointee.precopy
        self.hasP2P = script.pointee.p2p
        self.hasReinit = script.pointee.reinit
        self.offersInfoV2 = script.pointee.info_v2
        // Read in place: the rules are too many to lie on a stack twice.
        let ruleCount = Int(script.pointee.rule_count)
        self.calls = withUnsafeBytes(of: &script.pointee.rules) { bytes in
            (0..<ruleCount).reduce(into: []) { calls, number in
                let rule = bytes.load(fromByteOffset: number * MemoryLayout<script_rule>.stride, as: script_rule.self)
                if rule.trigger == TRIGGER_CALL { calls.insert(String(cString: device_call_name(rule.call))) }
            }
        }
        let gateCount = Int(script.pointee.gate_count)
        self.gates = withUnsafeBytes(of: &script.pointee.gates) { bytes in
            (0..<gateCount).map { gate in
                let name = bytes[(gate * Int(SCRIPT_NAME_SIZE))..<((gate + 1) * Int(SCRIPT_NAME_SIZE))]
                return String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
            }
        }
    }
}

/// The text of a C character array up to its NUL.
private func string<Characters>(_ characters: Characters) -> String {
    withUnsafeBytes(of: characters) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
}
