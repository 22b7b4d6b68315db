/// What the engine asks of guest memory beside the contract of modules: requests of pages, discards and received pages of a postcopy.

package protocol MigratedMemory: AnyObject {
    /// Only missing pages are sent from here on: no more syncs.
    var isInPostcopy: Bool { get set }

    // MARK: Source

    /// The destination's guest waits for these bytes; nil is the block of the request before.
    func request(block: String?, offset: UInt64, length: UInt32) throws(ModuleError)
    /// Whether pages were asked for that have not been sent.
    var hasRequests: Bool { get }
    /// Pages that the destination must forget, by block: they were sent, and are dirty again.
    func discards() -> [(block: Int, name: String, pages: [Range<Int>])]
    /// The blocks' names.
    var blockNames: [String] { get }
    /// Only what the destination has not received is left to send.
    func resume(received: [String: [UInt64]]) throws(ModuleError)

    // MARK: Destination

    func discard(block: Int, pages: [Range<Int>]) throws(ModuleError)
    /// A bit for each page of the block that has come.
    func received(block: String) throws(ModuleError) -> [UInt64]
    /// The guest, running before all pages are there, touches one that is missing: what it asks for; nil when it needs none now.
    func missingPage() -> (block: String, offset: UInt64)?
}
