/// The figures that are kept: a line each, a name and what it was when it was recorded. `#` begins a comment.
import Foundation

struct Figures {
    static let file = "Tests/Benchmarks/EngineBenchmark/figures"
    /// How far a count of instructions may be from the one kept before it is reported, in percent.
    static let tolerance = 5.0

    private var lines: [String]

    init() throws {
        do { lines = try String(contentsOfFile: Self.file, encoding: .utf8).split(separator: "\n").map(String.init) } catch {
            throw Failure("\(Self.file): cannot be read; run this in the repository's top folder")
        }
    }

    subscript(name: String) -> String? {
        get { lines.first { $0.hasPrefix(name + " ") }.map { String($0.dropFirst(name.count + 1)) } }
        set {
            let line = "\(name) \(newValue ?? "")"
            if let place = lines.firstIndex(where: { $0.hasPrefix(name + " ") }) { lines[place] = line } else { lines.append(line) }
        }
    }

    /// The named cell.
    func cell() throws -> String {
        guard let cell = self["cell"] else { throw Failure("\(Self.file): expected a line 'cell NAME', found none") }
        return cell
    }

    func write() throws {
        guard ProcessInfo.processInfo.environment["CI"] == nil else {
            throw Failure("--record: figures are not recorded in CI (CI is set in the environment)")
        }
        try (lines.joined(separator: "\n") + "\n").write(toFile: Self.file, atomically: true, encoding: .utf8)
    }

    /// What is to be said of a figure beside the one kept.
    func beside(_ name: String, _ value: Double) -> String {
        guard let kept = self[name].flatMap(Double.init), kept > 0 else { return "none kept" }
        return String(format: "kept %.0f: %+.1f %%", kept, (value / kept - 1) * 100)
    }
}
