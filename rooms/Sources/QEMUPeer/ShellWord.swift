/// Words of a command line as a shell takes them.

/// The word, in quotes where it needs them.
package func shellWord(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-_./=,:@+".utf8.contains($0)
    }
    return isPlain && !word.isEmpty ? word : shellQuoted(word)
}

/// The word in single quotes, whatever it holds.
package func shellQuoted(_ word: String) -> String { "'" + word.replacing("'", with: "'\\''") + "'" }
