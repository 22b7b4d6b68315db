import Plan
import Testing

@testable import QEMUPeer

/// What replaces a BIOS fits its place, and begins at the reset vector.
@Suite struct FirmwareTests {
    @Test(arguments: [Firmware.halting, .dirtying(pages: 96, hertz: 50), .dirtying(pages: 1536, hertz: 50)])
    func itIs64KiB(firmware: Firmware) { #expect(firmware.image.count == 64 << 10) }

    @Test func haltingBeginsAtTheVector() { #expect(Array(Firmware.halting.image.suffix(16).prefix(4)) == [0xfa, 0xf4, 0xeb, 0xfd]) }

    @Test func dirtyingJumpsToItsCode() {
        let image = Array(Firmware.dirtying(pages: 96, hertz: 50).image)
        let vector = image.suffix(16)
        #expect(vector.first == 0xea)
        let start = Int(vector[vector.startIndex + 1]) | Int(vector[vector.startIndex + 2]) << 8
        #expect(Array(vector[(vector.startIndex + 3)..<(vector.startIndex + 5)]) == [0x00, 0xf0])
        // cli, and the descriptor table in the same segment.
        #expect(image[start] == 0xfa)
        #expect(Array(image[(start + 1)..<(start + 5)]) == [0x2e, 0x66, 0x0f, 0x01])
    }

    @Test func theLastWordIsInTheLastPage() {
        #expect(Firmware.dirtying(pages: 96, hertz: 50).lastWord == 0x100000 + 95 * 4096 + 0x800)
        #expect(Firmware.halting.lastWord == nil)
    }
}
