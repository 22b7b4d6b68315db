/// The command line that runs a cell again.
import Plan
import QEMUPeer

/// What makes a command of a cell's name: the program, and the options of the run that a cell depends on. Paths in it are absolute, so that
/// the command works from any folder.
package struct Reproduction: Hashable, Sendable {
    /// The program, as a shell starts it.
    package var program: String
    /// Variables of the environment that choose the files of a run, in order.
    package var environment: [Setting] = []
    /// Options of every cell, word by word.
    package var options: [String] = []
    /// Options of the cells of QEMU binaries, and of the engine.
    package var qemuOptions: [String] = []
    package var engineOptions: [String] = []
    /// The seed of the engine's cells.
    package var seed: UInt64 = 0
    /// The place that the run writes its results to; nil: the default one.
    package var results: String?

    /// A variable with its value.
    package struct Setting: Hashable, Sendable {
        package let name: String
        package let value: String

        package init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The program as it is called in the top folder of the repository.
    package static let inRepository = Reproduction(program: ".build/release/ackmatrix")

    package init(program: String) { self.program = program }

    /// One line for a shell that runs the cell of this name again. `withQEMU`: a QEMU that ran the cell of this shared name has judged the
    /// engine's cell, and runs again, too.
    package func command(_ cell: String, withQEMU shared: String? = nil) -> String {
        let isOfEngine = cell.contains(SideImplementation.enginePrefix)
        var words: [String] = options
        if !isOfEngine || shared != nil { words += qemuOptions }
        if isOfEngine {
            words += engineOptions
            if seed != 0 { words += ["--seed", "\(seed)"] }
        }
        if let results { words += ["--results", results] }
        let cells = shared.map { "--sides all --cell \(shellQuoted($0)) " } ?? ""
        return
            (environment.map { "\($0.name)=\(shellWord($0.value))" }
            + [shellWord(program), "run", "\(cells)--cell \(shellQuoted(cell))"] + words.map(shellWord)).joined(separator: " ")
    }
}
