/// Standard output: a terminal has a line at its end that is drawn again and again.
import Foundation
import Glibc
import MigrationTrace
import Reports

struct Screen: ReportOutput {
    let isTerminal = isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    private static let clearLine = "\r\u{1B}[K"

    func say(_ text: String) {
        clear()
        ackmatrix.say(text)
    }

    func show(_ line: (_ width: Int) -> String) {
        guard isTerminal else { return }
        StandardOutput.write(Self.clearLine + escaped(line(width)))
    }

    func clear() {
        guard isTerminal else { return }
        StandardOutput.write(Self.clearLine)
    }

    private var width: Int {
        var size = winsize()
        return ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 20 ? Int(size.ws_col) - 1 : 79
    }
}
