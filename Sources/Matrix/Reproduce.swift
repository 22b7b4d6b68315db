/// The command line that runs a cell again.

/// One line for a shell: the cell by its exact name, and the `NAME=PATH` of each `--qemu` that the run was given.
public func reproduce(_ cell: String, qemu: [String] = []) -> String {
    (["ackmatrix run --cell " + quoted(cell)] + qemu.map { "--qemu " + shellWord($0) }).joined(separator: " ")
}

/// The word as a shell takes it, in quotes where it needs them.
func shellWord(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-_./=,:@+".utf8.contains($0)
    }
    return isPlain && !word.isEmpty ? word : quoted(word)
}

private func quoted(_ word: String) -> String { "'" + word.replacing("'", with: "'\\''") + "'" }
