/// The results of runs that a command reads.
import Foundation
import Plan
import Reports
import Running

/// The results of a run's folder, or of the newest run of a place; nil where there are none.
func results(at path: String) throws -> (folder: String, lines: [ResultLine])? {
    let folder = ResultPlace.run(at: path)
    guard FileManager.default.fileExists(atPath: folder + "/results.jsonl") else { return nil }
    do { return (folder, try ResultLog.read(path: folder + "/results.jsonl")) } catch let error as ResultLogError {
        throw Environment("\(error)")
    }
}

/// Two runs that are compared; nil where neither path has the results of one.
func comparedResults(_ first: String, _ second: String) throws -> RunDifference? {
    let (one, other) = (try results(at: first), try results(at: second))
    guard one != nil || other != nil else { return nil }
    guard let one, let other else {
        throw Environment(
            "\(one == nil ? first : second): expected the results of a run, as \(one == nil ? second : first) has, found none")
    }
    return RunDifference(one.lines, other.lines, names: [one.folder, other.folder].map { $0 + "/results.jsonl" })
}
