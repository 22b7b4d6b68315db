/// How many cells run at once.
import ArgumentParser
import Matrix
import Plan
import Running

struct JobOptions: ParsableArguments {
    @Option(help: "The number of cells that run at once; at most as many as this machine can run. (default: one for each processor)")
    var jobs: Int?

    func validate() throws {
        if let jobs, jobs < 1 { throw ValidationError("--jobs: expected 1 or more, found \(jobs)") }
    }

    /// The number of cells that run at once, of these kinds. Throws `Environment` where the limits of this machine do not allow one.
    func allowed(_ kinds: Set<SideKind>) throws -> Int {
        let limits = MachineLimits.current()
        let allowed = try kinds.map { try limits.jobs(asked: jobs, kind: $0) }.min() ?? 1
        if let jobs, allowed < jobs {
            note("--jobs \(jobs): this machine and its limits allow \(allowed), so \(allowed) run at once")
        }
        return allowed
    }
}
