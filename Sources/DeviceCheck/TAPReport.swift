/// The results of checks as TAP version 14, which `prove` and CI systems read.

package enum TAPReport {
    /// The first lines: the version, the plan, and a comment for each remark.
    package static func head(_ remarks: [String]) -> [String] {
        ["TAP version 14", "1..\(allChecks.count)"] + remarks.map { "# \($0)" }
    }

    /// The lines of a result, whose number is from 1.
    package static func lines(_ result: CheckResult, number: Int) -> [String] {
        let point = "\(number) - \(result.check.name): \(result.check.statement)"
        switch result.outcome {
        case .passed: return ["ok \(point)"]
        case .skipped(let reason): return ["ok \(point) # SKIP \(reason)"]
        case .deviates(let expected, let found):
            return [
                "not ok \(point)", "  ---", "  expected: \(quoted(expected))", "  found: \(quoted(found))",
                "  reference: \(quoted("linux/vfio.h, " + result.check.reference))", "  ...",
            ]
        }
    }

    /// The line of a check that is not made.
    package static func listed(_ check: Check, number: Int) -> String {
        "\(number) - \(check.name): \(check.statement)\(check.isDestructive ? " (destructive)" : "") [\(check.reference)]"
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
