/// What the recorder has left of one process: its calls, and how its command line was.
///
/// The recorder (`harness/vfio/recorder.c`) appends whole lines, so a file is readable at any moment, and after any end.
import MigrationTrace

package struct RecordedProcess: Sendable {
    package let id: Int64
    package let commandLine: [String]
    package private(set) var calls = FoldedStream()
    package private(set) var unknown = UnknownLineCounts()
    /// The process has ended by itself; else it was killed, or its recording was broken off.
    package private(set) var hasEnded = false
    /// A device of the process began to load, or to save.
    package private(set) var loads = false
    package private(set) var saves = false
    /// The names of its devices, in the order of their first calls.
    package private(set) var devices: [String] = []

    /// Reads what the recorder has written. Throws `FileError`, and `RecordingError` if lines are missing in the middle.
    package init(calls path: String, commandLine: [String]) throws {
        self.commandLine = commandLine
        var reader = try LogReader(path: path)
        var folder = Folder()
        var folds: [Fold] = []
        var id: Int64?
        var seen: Set<String> = []
        while let line = try reader.next() {
            // The last line of a process that was killed may be cut, and still look whole.
            guard !line.isUnterminated, let entry = Entry(line), let event = entry.event else { continue }
            switch event {
            case .recordedBegin(let process, _): id = id ?? process
            case .recordedEnd: hasEnded = true
            case .recordedState(let device, let state, _, let data, _):
                if data >= 0 { if state == .resuming { loads = true } else { saves = true } }
                if seen.insert(device).inserted { devices.append(device) }
            default: break
            }
            folder.append(entry, to: &folds)
        }
        folder.finish(into: &folds)
        for fold in folds { calls.append(fold) }
        unknown = reader.summary.unknown
        guard let id else { throw RecordingError("\(path): expected recorded_begin as the first line, found none: it is no recording") }
        guard reader.summary.sequenceBreaks == 0 else {
            throw RecordingError(
                "\(path): expected consecutive line numbers, found \(reader.summary.sequenceBreaks) gaps: lines are missing")
        }
        self.id = id
    }

    /// The program's name, without its folder.
    package var program: String { commandLine.first?.split(separator: "/").last.map(String.init) ?? "process \(id)" }
}

extension Trace {
    /// The recording of one process that saves, one that loads, or both, as a trace: their calls are the streams of the devices.
    /// `properties` tells of the host and the devices of a process.
    package init(
        recording source: RecordedProcess?, _ destination: RecordedProcess?, command: String, properties: (RecordedProcess) -> [Setting]
    ) {
        var header = TraceHeader()
        header.cell = "recording of \(command)"
        header.outcome = "recorded"
        header.source = TraceSide(source, source.map(properties) ?? [])
        header.destination = TraceSide(destination, destination.map(properties) ?? [])
        self.init(
            header: header, source: FoldedStream(), sourceDevices: source?.calls ?? FoldedStream(), destination: FoldedStream(),
            destinationDevices: destination?.calls ?? FoldedStream())
    }
}

extension TraceSide {
    fileprivate init(_ process: RecordedProcess?, _ properties: [Setting]) {
        self.init()
        guard let process else { return }
        name = process.program
        self.properties = properties + [Setting("recorded-process", process.hasEnded ? "ended" : "broken-off")]
        commandLine = process.commandLine
        devices = process.devices.map { TraceDevice(name: $0, idstr: "") }
        unknown = process.unknown
    }
}
