/// How fast the engine's cells are: cells a second, processor time a cell, events a second through the verifier, beside the same plain
/// cell on real QEMU; and how many instructions one named cell takes.
///
///     engine-benchmark [--tier TIER] [--record]     five rounds on two threads, of tier engine if none is named, beside what `figures` keeps
///     engine-benchmark --instructions [--record]    of the cell that `figures` names, by callgrind
///     engine-benchmark --cell NAME [--times N]      only this cell, for a profiler
///
/// Run it in the repository's top folder. Nothing here is asserted: figures that differ are told. Exit code: 0 measured, 1 the
/// instructions differ by more than 5 %, 2 wrong usage or broken environment.
import EnginePeer
import Foundation
import Glibc
import Matrix
import Plan
import QEMUPeer
import Running

struct Failure: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

private let usage =
    "usage: engine-benchmark [--tier quick|default|full|engine] [--record] | --instructions [--record] | --cell NAME [--times N]"

/// The matrix, and who runs its cells.
private struct Setting {
    let file: MatrixFile
    let runner: CellRunner

    init(_ binaries: [ProbedBinary], shim: String = "") throws {
        file = try MatrixFile(path: "harness/matrix/default.yaml")
        let deviations = try DeviationFile(path: "harness/matrix/deviations.yaml", axes: file.axes)
        runner = CellRunner(binaries: binaries, shim: shim, deviations: deviations)
    }

    func cells(_ tier: Tier) throws -> [Cell] { try Recipe.cells(of: file, tier: tier, binaries: Array(runner.binaries.values)).cells }
}

/// Of all threads of this process, so far.
private func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

private func seconds(_ body: () async throws -> Void) async rethrows -> Double {
    let clock = ContinuousClock()
    let start = clock.now
    try await body()
    return (clock.now - start) / .seconds(1)
}

private func measure(_ tier: Tier, records: Bool) async throws {
    var figures = try Figures()
    let setting = try Setting(ProbedBinary.engines)
    let cells = try setting.cells(tier)
    let pool = EnginePool(runner: setting.runner, threads: 2, folder: try RunFolder())
    var (rates, processor, eventRates): ([Double], [Double], [Double]) = ([], [], [])
    var (ran, many) = (0, 0)
    for _ in 0..<5 {
        var events = 0
        (ran, many) = (0, 0)
        let before = processorSeconds()
        let passed = try await seconds {
            try await pool.run(cells) { outcome in
                ran += 1
                events += outcome.result.events
                let devices = outcome.result.cell.lastForecast.scenario.devices
                if devices.count >= 4, devices.contains(where: { $0.reinits >= 2 }) { many += 1 }
            }
        }
        guard ran > 0 else { throw Failure("no cell of tier \(tier.rawValue) ran") }
        rates.append(Double(ran) / passed)
        processor.append((processorSeconds() - before) * 1e6 / Double(ran))
        eventRates.append(Double(events) / passed)
    }
    func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
    print("cells      \(ran), \(many) of them with 4 or more devices and 2 or more REINITs")
    print(String(format: "speed      %.0f cells a second on 2 threads (%.0f to %.0f)", median(rates), rates.min()!, rates.max()!))
    let (time, events) = (median(processor), median(eventRates))
    print(String(format: "processor  %.0f us a cell (", time) + figures.beside("processor-us-a-cell", time) + ")")
    print(String(format: "events     %.0f a second (", events) + figures.beside("events-a-second", events) + ")")
    if records {
        figures["processor-us-a-cell"] = String(format: "%.0f", time)
        figures["events-a-second"] = String(format: "%.0f", events)
        try figures.write()
    }
    try await besideQEMU()
}

/// The plain cell of the engine beside the same one of a QEMU, which is what a user has otherwise.
private func besideQEMU() async throws {
    let environment = ProcessInfo.processInfo.environment
    let shim = environment["ACKMATRIX_SHIM"] ?? FileManager.default.currentDirectoryPath + "/.build/vfio/libackmatrix-shim.so"
    let folder = try RunFolder()
    let binaries = try QEMUBinaries().all
    guard !binaries.isEmpty, FileManager.default.fileExists(atPath: shim) else {
        return print("QEMU       none available, or no preload shim: not compared")
    }
    // The first of which there is an engine.
    let all = try await FeatureStore(cache: QEMUBinaries.cache).probed(binaries, shim: shim, folder: folder)
    guard let binary = all.first(where: { ProbedBinary.engine($0.features.generation) != nil }),
        let engine = ProbedBinary.engine(binary.features.generation)
    else { return print("QEMU       no available binary has an engine of its generation: not compared") }
    let (qemu, own) = (try Setting([binary], shim: shim), try Setting([engine]))
    guard let plain = try qemu.cells(.quick).first,
        let same = try own.cells(.quick).first(where: { $0.sharedName.hasSuffix(plain.name.drop { $0 != "+" }) })
    else { return print("QEMU       \(binary.binary.name) has no cell in common with the engine") }
    let slow = try await seconds { _ = try await qemu.runner.run(plain, folder: folder.path + "/plain") }
    let fast = try await seconds { for _ in 0..<100 { _ = try own.runner.runInEngine(same) } } / 100
    print(
        String(format: "QEMU       %.3f s for ", slow) + plain.name
            + String(format: ": %.0f times the engine's %.2f ms", slow / fast, fast * 1000))
}

private func count(records: Bool) throws -> Int32 {
    var figures = try Figures()
    let cell = try figures.cell()
    let count = try instructions(of: cell)
    print("\(count) instructions for \(cell) (\(figures.beside("instructions", Double(count))))")
    if records {
        figures["instructions"] = "\(count)"
        try figures.write()
        return 0
    }
    guard let kept = figures["instructions"].flatMap(Double.init), abs(Double(count) / kept - 1) * 100 > Figures.tolerance else { return 0 }
    print("differs by more than \(Int(Figures.tolerance)) %: find out why, then record it with --record")
    return 1
}

private func run(cell name: String, times: Int) throws {
    // Only its own sides, so that making the matrix takes little beside it.
    let setting = try Setting((ProbedBinary.engines + ProbedBinary.enginesWhenNamed).filter { name.contains($0.binary.name) })
    guard let cell = try setting.cells(.engine).first(where: { $0.name == name }) else {
        throw Failure("no cell of the engine is called \(name)")
    }
    for _ in 0..<times { _ = try setting.runner.runInEngine(cell) }
}

do {
    var arguments = Array(CommandLine.arguments.dropFirst())
    func takeFlag(_ flag: String) -> Bool {
        guard let place = arguments.firstIndex(of: flag) else { return false }
        arguments.remove(at: place)
        return true
    }
    func takeValue(_ option: String) throws -> String? {
        guard let place = arguments.firstIndex(of: option) else { return nil }
        guard place + 1 < arguments.count else { throw Failure(usage) }
        defer { arguments.removeSubrange(place...place + 1) }
        return arguments[place + 1]
    }
    let (records, counts) = (takeFlag("--record"), takeFlag("--instructions"))
    let (cell, times, tier) = (try takeValue("--cell"), try takeValue("--times") ?? "1", try takeValue("--tier") ?? "engine")
    guard arguments.isEmpty, let times = Int(times), times > 0, let tier = Tier(rawValue: tier), !counts || cell == nil else {
        throw Failure(usage)
    }
    if records, ProcessInfo.processInfo.environment["CI"] != nil {
        throw Failure("--record: figures are not recorded in CI (CI is set in the environment)")
    }
    if let cell {
        try run(cell: cell, times: times)
    } else if counts {
        exit(try count(records: records))
    } else {
        try await measure(tier, records: records)
    }
} catch {
    var text = "engine-benchmark: \(error)\n"
    text.withUTF8 { _ = write(2, $0.baseAddress, $0.count) }
    exit(2)
}
