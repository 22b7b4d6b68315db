/// The firmware that the guest executes: 64 KiB in place of a BIOS, since only the amount of memory that it writes matters.

package enum Firmware: Hashable, Sendable {
    /// `cli; hlt`: the guest runs, as the handshake needs, and dirties nothing.
    case halting
    /// Each timer tick writes every one of `pages` pages from 1 MiB upwards, and no other page; between ticks the processor halts. Needs a
    /// q35 or i440fx machine.
    case dirtying(pages: Int, hertz: Int)

    /// The address of the first written page.
    package static let firstPage = 1 << 20
    package static let pageSize = 4096

    /// The address of a word that is nonzero once every page has been written; nil if no page ever is.
    package var lastWord: Int? {
        switch self {
        case .halting: nil
        case .dirtying(let pages, _): Self.firstPage + (pages - 1) * Self.pageSize + Self.wordInPage
        }
    }

    /// The offset of the written word in its page.
    package static let wordInPage = 0x800
}
