import Foundation
import MigrationTrace
import TestSupport
import Testing

@testable import QEMUPeer

/// A word of a script or of a command line is, to every shell, what was meant, whatever it holds; and nothing of it moves a cursor.
@Suite struct ShellWordTests {
    @Test(arguments: [
        ("", "''"), ("plain/word-1.0=a,b:c@d+e_", "plain/word-1.0=a,b:c@d+e_"), ("two words", "'two words'"), ("it's", #"'it'\''s'"#),
        ("$(reboot) `x` \"y\" \\", #"'$(reboot) `x` "y" \'"#), ("a\u{1B}[31mb", #"'a'"$(printf %b '\0033')"'[31mb'"#),
        ("\u{202E}", #"''"$(printf %b '\0342\0200\0256')"''"#), ("a\nb", #"'a'"$(printf %b '\0012\0142')"''"#),
        ("a\n", "'a\n'"), ("a\u{0}b", "'ab'"),
    ])
    func aWordIsQuoted(word: String, quoted: String) { #expect(shellWord(word) == quoted) }

    @Test(arguments: ["/bin/sh", "/bin/bash"]) func everyShellReadsTheWordThatWasMeant(shell: String) throws {
        var generator = SeededGenerator(seed: testSeed)
        let pieces = [
            "a", " ", "'", "\"", "\\", "$x", "%s", "`", "\n", "\n\n", "\t", "\r", "\u{1B}[2J", "\u{7}", "\u{7F}", "\u{9B}31m", "\u{202E}",
            "\u{FEFF}",
            "é", "👩‍💻", "e\u{301}", "\\012", "!", "-n", "#", "'; exit 3; '",
        ]
        let words = (0..<200).map { _ in
            (0..<Int.random(in: 0...8, using: &generator)).map { _ in pieces.randomElement(using: &generator)! }.joined()
        }
        let script = words.map { "printf '%s\\0' \(shellQuoted($0))\n" }.joined()
        let process = Process()
        process.executableURL = URL(fileURLWithPath: shell)
        process.arguments = ["-c", script]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let read = output.split(separator: 0, omittingEmptySubsequences: false).dropLast().map { String(decoding: $0, as: UTF8.self) }
        #expect(read.count == words.count)
        for (word, read) in zip(words, read) { #expect(Array(read.utf8) == Array(word.utf8), "seed \(testSeed): \(shellQuoted(word))") }
        for word in words {
            let quoted = shellQuoted(word)
            let shown = quoted.unicodeScalars.dropLast().reversed().drop { $0 == "\n" }
            #expect(!shown.contains(where: isUnsafe), "seed \(testSeed): \(escaped(quoted))")
        }
    }
}
