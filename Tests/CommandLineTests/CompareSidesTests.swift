import Testing

@testable import ackmatrix

@Suite struct CompareSidesTests {
    /// A list about the engine beside QEMU is unused, and not wrong, where one kind is compared with itself.
    @Test(arguments: [
        ("engine", "qemu", true), ("qemu", "engine", true), ("engine", "some-run", true), ("engine", "engine", false),
        ("qemu", "qemu", false), ("some-run", "another-run", false),
    ])
    func entriesAreDue(left: String, right: String, expected: Bool) throws {
        let sides = try [left, right].map { try #require(ComparedSide(argument: $0)) }
        #expect(ComparedSide.showWholeList(sides) == expected)
    }
}
