/// Where a run's report goes while the run goes on, and how much of it.

/// How much `ackmatrix run` prints. The file summary.txt holds everything in any case.
package enum RunFormat: String, CaseIterable, Sendable {
    /// The set-up, the cells that are not as predicted, a counter every 10 s, and the closing block.
    case brief
    /// A line for each cell as well.
    case lines
    /// A line for each cell, and all tables of the summary before the closing block.
    case full

    /// The format in one line of help.
    package var about: String {
        switch self {
        case .brief: "the cells that are not as predicted, a counter every 10 s, and a closing block of at most 15 lines"
        case .lines: "a line for each cell as well"
        case .full: "a line for each cell, and all tables of summary.txt"
        }
    }
}

/// The place that a report is printed to. A terminal has a line at its end that is drawn again and again.
package protocol ReportOutput {
    var isTerminal: Bool { get }
    func say(_ text: String)
    /// Draws the last line of a terminal, made for its width; does nothing elsewhere.
    func show(_ line: (_ width: Int) -> String)
    /// Removes the line that `show` has drawn.
    func clear()
}
