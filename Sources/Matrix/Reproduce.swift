/// The command line that runs a cell again.

/// One line for a shell, in the repository: the cell by its exact name, and the `options` that the run was given and that a cell depends on.
public func reproduce(_ cell: String, options: [String] = []) -> String {
    ([".build/release/ackmatrix run --cell " + quoted(cell)] + options.map(shellWord)).joined(separator: " ")
}

/// The word as a shell takes it, in quotes where it needs them.
func shellWord(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-_./=,:@+".utf8.contains($0)
    }
    return isPlain && !word.isEmpty ? word : quoted(word)
}

private func quoted(_ word: String) -> String { "'" + word.replacing("'", with: "'\\''") + "'" }
