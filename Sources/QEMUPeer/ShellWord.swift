/// Quotes words for a shell's command line. What comes from outside may hold anything: no character of it ends a word or a line, moves a
/// cursor, or makes the text look like another one, and every POSIX shell still reads the word that was meant.
import MigrationTrace

/// The word, quoted if it has to be.
package func shellWord(_ word: String) -> String {
    let isPlain = word.utf8.allSatisfy {
        0x30...0x39 ~= $0 || 0x41...0x5A ~= $0 || 0x61...0x7A ~= $0 || "-_./=,:@+".utf8.contains($0)
    }
    return isPlain && !word.isEmpty ? word : shellQuoted(word)
}

/// The word in single quotes; characters that may not be shown as they are are printed into it by their bytes.
///
/// What a command prints loses its last line ends, so that a line end is printed together with what follows it; those that end the word
/// stay within the quotes. NUL can be in no word, and is left out.
package func shellQuoted(_ word: String) -> String {
    let scalars = Array(word.unicodeScalars).filter { $0 != "\0" }
    let end = (scalars.lastIndex { $0 != "\n" } ?? -1) + 1
    var result = "'"
    var rest = scalars[..<end]
    while let first = rest.first {
        guard isUnsafe(first) else {
            result += first == "'" ? "'\\''" : String(first)
            rest.removeFirst()
            continue
        }
        var count = rest.prefix(while: isUnsafe).count
        if rest.prefix(count).last == "\n" { count += 1 }
        result += "'\"$(printf %b '" + rest.prefix(count).flatMap { String($0).utf8 }.map(octal).joined() + "')\"'"
        rest.removeFirst(count)
    }
    return result + scalars[end...].map(String.init).joined() + "'"
}

/// A byte for the %b of printf.
private func octal(_ byte: UInt8) -> String { "\\" + String(0o10000 | Int(byte), radix: 8).dropFirst() }
