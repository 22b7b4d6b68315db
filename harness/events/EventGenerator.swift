/// Writes the Swift files that are generated from `trace-events`.
///
///     swift run EventGenerator
///
/// Run it in the package's folder. Exit code: 0 written; 1 a declaration is wrong, or a file cannot be read or written.
import Foundation

@main
struct GenerateEvents {
    static let declarations = "harness/events/trace-events"
    static let folder = "Sources/MigrationTrace/Generated"

    static func main() {
        do {
            let text = try String(contentsOfFile: declarations, encoding: .utf8)
            for file in try GeneratedFile.all(for: EventDeclaration.all(in: text)) {
                let path = "\(folder)/\(file.name)"
                try Data(file.text.utf8).write(to: URL(fileURLWithPath: path))
                print(path)
            }
        } catch {
            FileHandle.standardError.write(Data("EventGenerator: \(error)\n".utf8))
            exit(1)
        }
    }
}
