/// `ackmatrix trace-events`: what QEMU must trace so that its logs can be judged.
import ArgumentParser
import MigrationTrace

struct TraceEventsCommand: ParsableCommand {
    enum Form: String, CaseIterable, ExpressibleByArgument {
        /// A file for `-trace events=FILE`.
        case events
        /// Options of QEMU's command line.
        case options
        /// An element for a libvirt domain.
        case libvirt
    }

    static let configuration = CommandConfiguration(
        commandName: "trace-events", abstract: "Print the trace events that `check` judges by.",
        discussion: """
            events is a file for -trace events=FILE, options are options of QEMU's command line, and libvirt is the element \
            qemu:commandline of a domain (with xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' in <domain>), whose log is \
            /var/log/libvirt/qemu/NAME.log. QEMU must be built with the trace backend log, as distributions do; \
            `qemu-system-x86_64 -trace help` lists its events. Memory stays below 50 MB, as nothing is read.
            """)

    @Option(help: "How to print them: \(Form.allCases.map(\.rawValue).joined(separator: ", ")).") var form = Form.events

    func run() throws {
        switch form {
        case .events: for pattern in TracePatterns.all { say(pattern) }
        case .options: say("-msg timestamp=on \(TracePatterns.options)")
        case .libvirt:
            say("<qemu:commandline>")
            for pattern in TracePatterns.all {
                say("  <qemu:arg value='-trace'/>")
                say("  <qemu:arg value='\(pattern)'/>")
            }
            say("</qemu:commandline>")
        }
    }
}
