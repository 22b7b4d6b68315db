/// Quotes words for a shell's command line.

/// The word, quoted if it has to be.
package func shellWord(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-_./=,:@+".utf8.contains($0)
    }
    return isPlain && !word.isEmpty ? word : shellQuoted(word)
}

/// The word in single quotes.
package func shellQuoted(_ word: String) -> String { "'" + word.replacing("'", with: "'\\''") + "'" }
