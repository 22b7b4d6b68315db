import MigrationTrace
import TestSupport
import Testing

/// Nothing that moves a cursor, ends a line or reorders what a reader sees gets through, and everything else stays.
@Suite struct EscapingTests {
    @Test(arguments: [
        ("", ""), ("plain text", "plain text"), ("é 漢 😀", "é 漢 😀"), ("back\\slash", "back\\slash"),
        ("\u{1B}[31mred\u{7}", "\\x1B[31mred\\x07"), ("a\u{9B}31m", "a\\x9B31m"), ("\u{7F}\u{80}\u{9F}", "\\x7F\\x80\\x9F"),
        ("one\ntwo\tthree\r", "one\\x0Atwo\\x09three\\x0D"), ("\u{202E}gnp.exe\u{2066}", "\\u{202E}gnp.exe\\u{2066}"),
        ("\u{61C}\u{200E}\u{200F}", "\\u{061C}\\u{200E}\\u{200F}"), ("a\u{2028}b\u{2029}", "a\\u{2028}b\\u{2029}"),
        ("zero\u{200B}width\u{FEFF}", "zero\\u{200B}width\\u{FEFF}"), ("\u{FFFE}\u{10FFFF}", "\\u{FFFE}\\u{10FFFF}"),
        ("tag\u{E0041}", "tag\\u{E0041}"),
    ])
    func aTextIsOneSafeLine(text: String, expected: String) {
        #expect(escaped(text) == expected)
        #expect(escaped(escaped(text)) == expected)
    }

    @Test func aTextOfSeveralLinesKeepsItsLinesAndTabs() {
        #expect(escapedLines("a\tb\nc\u{1B}\r\n") == "a\tb\nc\\x1B\\x0D\n")
    }

    @Test(
        arguments: [
            ([], ""), ([0x61, 0xC3, 0xA9], "aé"), ([0xFF, 0x61], "\\xFFa"), ([0xC3], "\\xC3"), ([0xE2, 0x82], "\\xE2\\x82"),
            ([0xC2, 0x9B], "\\x9B"), ([0xED, 0xA0, 0x80], "\\xED\\xA0\\x80"), ([0xC0, 0x80], "\\xC0\\x80"),
            ([0xF0, 0x9F, 0x98, 0x80], "😀"),
        ] as [([UInt8], String)])
    func bytesThatAreNoTextAreShown(bytes: [UInt8], expected: String) { #expect(escaped(bytes: bytes) == expected) }

    @Test func theTextOfAJSONDocumentStaysJSON() {
        #expect(escapedJSON("{\n\"a\":\"\u{9B}\u{202E}\u{E0041}é\"}") == "{\n\"a\":\"\\u009B\\u202E\\uDB40\\uDC41é\"}")
    }

    /// Random scalars, of all planes: the result is safe, and scalars that are safe are kept in their order.
    @Test func noScalarGetsThrough() {
        var generator = SeededGenerator(seed: testSeed)
        for _ in 0..<2_000 {
            let scalars = (0..<16).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0..<0x11_0000, using: &generator) >> UInt32.random(in: 0...12, using: &generator))
            }
            let result = escaped(String(String.UnicodeScalarView(scalars)))
            #expect(!result.unicodeScalars.contains(where: isUnsafe), "seed \(testSeed)")
            let safe = scalars.filter { !isUnsafe($0) && $0.value >= 0x80 }
            #expect(result.unicodeScalars.filter { $0.value >= 0x80 } == safe, "seed \(testSeed)")
        }
    }
}
