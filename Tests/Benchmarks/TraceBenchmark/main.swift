/// How fast logs are read, judged and folded, measured in one run against what users have: `wc -l`, `grep -c switchover` and an `awk` that
/// counts the events by name.
///
///     trace-benchmark [--size 1GiB] LOG...
///
/// A log of the given size is made of the given logs, whole, one after the other, again and again. It has no name
/// while it is used, so nothing is left behind however the run ends. Rates are in MB of log for each second of CPU time; the time that a pair
/// of logs takes on two cores is on the clock. Exit code: 0 measured, 2 wrong usage or broken environment.
import Glibc
import MigrationTrace
import Verification

struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

let usage = "usage: trace-benchmark [--size BYTES|KiB|MiB|GiB] LOG..."

/// `512MiB` and the like.
func size(_ text: String) -> Int? {
    for (unit, shift) in [("KiB", 10), ("MiB", 20), ("GiB", 30)] where text.hasSuffix(unit) {
        guard let number = Int(text.dropLast(unit.count)), 1..<(1 << 20) ~= number else { return nil }
        return number << shift
    }
    return Int(text)
}

/// A file in the temporary folder that is already without a name.
func namelessFile() throws -> Int32 {
    let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
    var path = Array("\(folder)/trace-benchmark-XXXXXX".utf8CString)
    let file = mkstemp(&path)
    guard file >= 0 else { throw Failure("cannot create a temporary file in \(folder): \(String(cString: strerror(errno)))") }
    unlink(&path)
    return file
}

/// Appends whole logs to `file` until it has `size` bytes or more; returns how many it has.
func fill(_ file: Int32, size: Int, with paths: [String]) throws -> Int {
    var written = 0
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while written < size {
        let before = written
        for path in paths where written < size {
            let log = open(path, O_RDONLY | O_CLOEXEC)
            guard log >= 0 else { throw Failure("cannot open \(path): \(String(cString: strerror(errno)))") }
            defer { close(log) }
            while true {
                let count = read(log, &buffer, buffer.count)
                guard count >= 0 else { throw Failure("cannot read \(path): \(String(cString: strerror(errno)))") }
                if count == 0 { break }
                var done = 0
                while done < count {
                    let part = buffer[done..<count].withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
                    guard part > 0 else { throw Failure("cannot write the temporary file: \(String(cString: strerror(errno)))") }
                    done += part
                }
                written += count
            }
        }
        if written == before { throw Failure("the logs are empty; give at least one with a migration in it") }
    }
    return written
}

/// Seconds that `body` takes: of CPU time, of this process or of its children, and on the clock.
func seconds(of who: __rusage_who = RUSAGE_SELF, _ body: () throws -> Void) rethrows -> (cpu: Double, clock: Double) {
    func used() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(who.rawValue), &usage)
        return [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
    }
    let clock = ContinuousClock()
    let (start, before) = (clock.now, used())
    try body()
    let (seconds, attoseconds) = start.duration(to: clock.now).components
    return (used() - before, Double(seconds) + Double(attoseconds) / 1e18)
}

func number(_ value: Double, _ digits: Int = 0) -> String {
    var scale = 1.0
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((value * scale).rounded())
    guard digits > 0 else { return "\(scaled)" }
    let fraction = String(scaled % Int(scale))
    return "\(scaled / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
}

/// Runs a command with `file` as its input, from the beginning; returns what it prints. The output is a pipe: grep
/// stops at the first match when it is /dev/null.
func run(_ arguments: [String], input file: Int32) throws -> String {
    lseek(file, 0, SEEK_SET)
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw Failure("cannot make a pipe: \(String(cString: strerror(errno)))") }
    defer { close(ends[0]) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, file, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    posix_spawn_file_actions_addclose(&actions, ends[0])
    posix_spawn_file_actions_addclose(&actions, ends[1])
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    defer { for argument in argv { free(argument) } }
    var child: pid_t = 0
    let code = posix_spawnp(&child, arguments[0], &actions, nil, &argv, environ)
    close(ends[1])
    guard code == 0 else { throw Failure("cannot start \(arguments[0]): \(String(cString: strerror(code)))") }
    var output = [UInt8](repeating: 0, count: 64)
    var length = 0
    while length < output.count {
        let count = output[length...].withUnsafeMutableBytes { read(ends[0], $0.baseAddress, $0.count) }
        if count <= 0 { break }
        length += count
    }
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0 && errno == EINTR {}
    guard status == 0 else { throw Failure("\(arguments.joined(separator: " ")) failed (status \(status))") }
    return String(decoding: output[..<length].filter { $0 > 0x20 }, as: UTF8.self)
}

func peakResidentMiB() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_maxrss) / 1024
}

func measure(_ paths: [String], size: Int) throws {
    let file = try namelessFile()
    defer { close(file) }
    let bytes = try fill(file, size: size, with: paths)
    func rate(_ seconds: Double) -> Double { Double(bytes) / 1e6 / seconds }

    let path = "/proc/self/fd/\(file)"

    lseek(file, 0, SEEK_SET)
    var summary = LogSummary()
    let reader = try seconds {
        var reader = LogReader(descriptor: file)
        while try reader.next() != nil {}
        summary = reader.summary
    }
    guard summary.bytes == bytes, summary.events > 0 else {
        throw Failure("read \(summary.bytes) of \(bytes) bytes, \(summary.events) events")
    }
    var judged = 0
    let check = try seconds { judged = try judgeAll([LogSource(path: path)]).migrations.count }
    guard judged > 0 else { throw Failure("no migration was judged") }
    let pair = try seconds { judged += try readAll([path, path].map(LogSource.init(path:))).count }
    let peak = peakResidentMiB()
    var isLossless = false
    let fold = try seconds { isLossless = try FoldingCheck(path: path).isLossless }
    guard isLossless else { throw Failure("folding and unfolding does not give the same events") }
    var lines = ""
    let wc = try seconds(of: RUSAGE_CHILDREN) { lines = try run(["wc", "-l"], input: file) }
    guard Int(lines) == summary.lines else { throw Failure("wc counts \(lines) lines, the reader \(summary.lines)") }
    var matches = ""
    let grep = try seconds(of: RUSAGE_CHILDREN) { matches = try run(["grep", "-c", "switchover"], input: file) }
    let awk = try seconds(of: RUSAGE_CHILDREN) {
        _ = try run(["awk", "{ count[$2]++ } END { for (name in count) n++; print n }"], input: file)
    }

    print("log       \(bytes) bytes, \(summary.lines) lines, \(summary.episodes) migrations")
    for (name, spent) in [("reader", reader), ("check", check), ("log", fold), ("wc -l", wc), ("grep -c", grep), ("awk", awk)] {
        let ratios = [("awk", awk), ("grep", grep)].map { "\(number($0.1.cpu / spent.cpu, 2)) times the speed of \($0.0)" }
        print(name.padded(to: 9), "\(number(rate(spent.cpu))) MB per CPU second, \(ratios.joined(separator: ", "))")
    }
    print(
        "pair      \(number(2 * rate(pair.clock))) MB a second for two logs, \(number(pair.clock / check.clock, 2)) times the time of one")
    print("          \(summary.events) typed events, \(summary.unknown.total) other lines, \(matches) lines of grep")
    print("          \(number(peak, 1)) MiB resident at most while they are checked")
}

extension String {
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(width - count, 0)) }
}

func showFolding(_ paths: [String]) throws {
    print("\nfolded: entries, folds, bytes of the log and of the trace")
    for path in paths {
        var reader = try LogReader(path: path)
        var trace = Trace()
        trace.source = try FoldedStream(&reader)
        var size = 0
        try trace.write { size += $0.count }
        let share = number(Double(size) * 100 / Double(max(reader.summary.bytes, 1)), 1)
        print("\(trace.source.count) \(trace.source.folds.count) \(reader.summary.bytes) \(size) (\(share) %) \(path)")
    }
}

do {
    var arguments = Array(CommandLine.arguments.dropFirst())
    var wanted = 1 << 30
    if arguments.first == "--size" {
        guard arguments.count > 1, let given = size(arguments[1]), given > 0 else { throw Failure(usage) }
        wanted = given
        arguments.removeFirst(2)
    }
    guard !arguments.isEmpty, !arguments.contains(where: { $0.hasPrefix("--") }) else { throw Failure(usage) }
    try measure(arguments, size: wanted)
    try showFolding(arguments)
} catch {
    var text = "trace-benchmark: \(error)\n"
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    exit(2)
}
