/// The command line that runs a cell again.
import QEMUPeer

/// One line for a shell, in the repository: the cell by its exact name, and the `options` that the run was given and that a cell depends
/// on.
package func reproduce(_ cell: String, options: [String] = []) -> String {
    ([".build/release/ackmatrix run --cell " + shellQuoted(cell)] + options.map(shellWord)).joined(separator: " ")
}
