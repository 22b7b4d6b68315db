/// What the guest executes: 64 KiB in place of a BIOS, since only how much memory it writes matters.

package enum Firmware: Hashable, Sendable {
    /// `cli; hlt`: the guest runs, as the handshake needs, and dirties nothing.
    case halting
    /// At each tick of the timer every one of so many pages is written, from 1 MiB upwards, and none else; between ticks the processor
    /// halts. A q35 or i440fx machine is needed.
    case dirtying(pages: Int, hertz: Int)

    /// Where the first of the pages is.
    package static let firstPage = 1 << 20
    package static let pageSize = 4096

    /// Where a word is that is not 0 once every page has been written; nil where none ever is.
    package var lastWord: Int? {
        switch self {
        case .halting: nil
        case .dirtying(let pages, _): Self.firstPage + (pages - 1) * Self.pageSize + Self.wordInPage
        }
    }

    /// Which word of a page is written.
    package static let wordInPage = 0x800
}
