/// `ackmatrix check --watch`: follows logs while migrations run, and says at once what breaks.
import Foundation
import Glibc
import MigrationTrace
import Verification

struct Watch {
    /// Between two looks at the logs, in microseconds. A look at a log that did not grow costs a read and two calls of stat.
    private static let pause: UInt32 = 200_000
    /// The looks without a new line after which an ended migration is judged: what follows the last status, such as the start of a guest,
    /// is written at once.
    static let quietLooks = 3

    private var logs: WatchedLogs
    private let json: Bool
    private let interruption: Interruption
    /// True if the migrations have ended; false if a signal ended the watch.
    private(set) var hasEnded = false

    /// `paths`: logs of one side or of both.
    init(_ paths: [(path: String, side: StreamName?)], json: Bool) {
        logs = WatchedLogs(paths)
        self.json = json
        interruption = Interruption()
        for (path, _) in paths where !FileManager.default.fileExists(atPath: path) { note("\(path): no such file yet; waiting for it") }
    }

    /// Follows the logs until the migrations have ended, or SIGINT, SIGTERM or SIGHUP comes. Returns what was judged last.
    mutating func run() throws -> (read: [ReadLog], migrations: [JudgedMigration]) {
        var quiet = 0
        while !interruption.hasCome {
            if let news = try logs.update(unless: { interruption.hasCome }) {
                quiet = 0
                for item in news { Self.tell(item, json: json) }
            } else {
                quiet += 1
            }
            if logs.hasEnded, quiet >= Self.quietLooks {
                hasEnded = true
                break
            }
            usleep(Self.pause)
        }
        for item in try logs.finish() { Self.tell(item, json: json) }
        if let refusal = logs.refusal { throw refusal }
        return (logs.read, logs.migrations)
    }

    static func tell(_ news: WatchedLogs.News, json: Bool) {
        switch news {
        case .file(let path, .appeared): note("\(path): following it")
        case .file(let path, .replaced): note("\(path): rotated; going on with the new file, whose lines are counted on")
        case .file(let path, .truncated):
            note("\(path): truncated; lines may be missing, and what rests on them is not judged")
        case .status(let side, let status, let place): note("\(place): the \(side.rawValue)'s status is \(status.rawValue)")
        case .finding(let finding):
            let places = finding.places.map(\.description).joined(separator: ", ")
            let text = "FINDING \(finding.rule.id) at \(places): \(finding.found)"
            if json { note(text) } else { say(text) }
        }
    }
}
