/// The connection of two hosts, in memory: what each host has written and the other has not read, and how the connection ends.
///
/// What was written arrives after the latency, whatever happens to the writer; a cut loses what is in flight.
import MigrationStream

package final class Channel {
    /// A queue of elements, each with the virtual time at which it can be read.
    struct Queue<Element> {
        private var elements: [(element: Element, at: UInt64)] = []
        private var first = 0

        var arrival: UInt64? { first < elements.count ? elements[first].at : nil }
        var isEmpty: Bool { first == elements.count }

        mutating func append(_ element: Element, at time: UInt64) { elements.append((element, time)) }

        mutating func removeFirst() -> Element {
            defer {
                first += 1
                if first == elements.count {
                    elements.removeAll(keepingCapacity: true)
                    first = 0
                }
            }
            return elements[first].element
        }

        mutating func removeAll() {
            elements.removeAll()
            first = 0
        }
    }

    /// The kind of connection.
    package enum Kind: Hashable, Sendable {
        case socket
        /// A file, read when it is complete; it has no way back.
        case file
        /// A pipe between two commands; nobody reads what is written backwards.
        case pipe
    }

    package let kind: Kind
    private var forward = Queue<StreamElement>()
    private var back = Queue<ReturnMessage>()
    /// Bytes written forward and not yet read.
    package private(set) var bytesOnTheWay = 0
    /// The bytes that may be unread before the writer has to wait.
    package var capacity = 4 << 20
    /// The nanoseconds after which a write can be read.
    package var latency: UInt64 = 20_000
    private var sourceHasClosed = false
    private var destinationHasClosed = false
    private var forwardIsCut = false
    private var backIsCut = false
    /// `breakOff` was called.
    private var isBrokenOff = false
    /// Decides before each write whether the connection breaks off; then this write is the first to fail.
    package var breaks: ((Written) -> Bool)?

    /// The value that an end is about to write.
    package enum Written {
        case forward(StreamElement)
        case back(ReturnMessage)
    }

    package init(_ kind: Kind = .socket) { self.kind = kind }

    // MARK: Source's end

    /// Writes an element. Returns false if the connection has ended.
    package func write(_ element: StreamElement, at now: UInt64) -> Bool {
        guard isWritable, carries(.forward(element)) else { return false }
        forward.append(element, at: now + latency)
        bytesOnTheWay += element.wireSize
        return true
    }

    package var isWritable: Bool { !sourceHasClosed && !destinationHasClosed && !forwardIsCut && !isBrokenOff }

    package var isFull: Bool { kind != .file && bytesOnTheWay > capacity && isWritable }

    /// When the source can read a message or the end; nil while it cannot.
    package var backArrival: UInt64? {
        switch kind {
        case .socket: break
        case .file: return 0
        case .pipe: return sourceHasClosed ? 0 : nil
        }
        return back.arrival ?? (destinationHasClosed || backIsCut || sourceHasClosed || isBrokenOff ? 0 : nil)
    }

    /// Reads a message; nil is the end.
    package func readBack() -> ReturnMessage? { back.isEmpty ? nil : back.removeFirst() }

    /// Shuts the source's end down: what the source wrote still arrives.
    package func closeSource() {
        sourceHasClosed = true
        back.removeAll()
    }

    // MARK: Destination's end

    package var forwardArrival: UInt64? {
        forward.arrival ?? (sourceHasClosed || forwardIsCut || destinationHasClosed || isBrokenOff ? 0 : nil)
    }

    /// Reads an element; nil is the end.
    package func readForward() -> StreamElement? {
        guard !forward.isEmpty else { return nil }
        let element = forward.removeFirst()
        bytesOnTheWay -= element.wireSize
        return element
    }

    /// Writes a message. Returns false if the connection has ended.
    package func writeBack(_ message: ReturnMessage, at now: UInt64) -> Bool {
        guard !destinationHasClosed, !sourceHasClosed, !forwardIsCut, carries(.back(message)) else { return false }
        // If only this direction was cut, the message is lost and the writer does not notice.
        if !backIsCut, kind == .socket { back.append(message, at: now + latency) }
        return true
    }

    package func closeDestination() {
        destinationHasClosed = true
        forward.removeAll()
        bytesOnTheWay = 0
    }

    // MARK: The network between

    /// Cuts both directions: everything in flight is lost.
    package func cut() {
        forwardIsCut = true
        forward.removeAll()
        bytesOnTheWay = 0
        cutBack()
    }

    /// Breaks the connection for both ends at once: no end writes any more, and what was written is still read before the end.
    ///
    /// So every message that was written is read. A break that lost a written message would leave its writer in the belief that the message
    /// was read; that is the problem of the two generals, which no order of messages solves: the sender of the last message cannot know.
    package func breakOff() { isBrokenOff = true }

    private func carries(_ written: Written) -> Bool {
        if !isBrokenOff, let breaks, breaks(written) { isBrokenOff = true }
        return !isBrokenOff
    }

    /// Cuts the direction back: the source reads the end, whatever the destination writes.
    package func cutBack() {
        backIsCut = true
        back.removeAll()
    }
}
