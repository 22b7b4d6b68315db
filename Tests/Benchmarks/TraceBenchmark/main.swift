import MigrationTrace
var events = 0
for path in CommandLine.arguments.dropFirst() {
    var reader = try LogReader(path: path)
    let clock = ContinuousClock()
    let start = clock.now
    while let line = try reader.next() { if line.event != nil { events += 1 } }
    let t = start.duration(to: clock.now)
    print(path, reader.summary.bytes, events, t, Double(reader.summary.bytes) / 1e6 / (Double(t.components.attoseconds) / 1e18 + Double(t.components.seconds)), reader.summary.unknown.total)
    for e in reader.summary.examples where e.kind == .malformedEvent { print(e.position, e.excerpt) }
}
