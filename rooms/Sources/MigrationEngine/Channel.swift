/// The connection of two hosts, in memory: what each has written and the other has not read, and how it may end.
///
/// What was written arrives after the latency, whatever happens to the writer; a cut loses what is on its way.
import MigrationStream

package final class Channel {
    /// First in, first out; each with the virtual time at which it can be read.
    struct Queue<Element> {
        private var elements: [(element: Element, at: UInt64)] = []
        private var first = 0

        var arrival: UInt64? { first < elements.count ? elements[first].at : nil }
        var isEmpty: Bool { first == elements.count }

        mutating func append(_ element: Element, at time: UInt64) { elements.append((element, time)) }

        mutating func take() -> Element {
            defer {
                first += 1
                if first == elements.count {
                    elements.removeAll(keepingCapacity: true)
                    first = 0
                }
            }
            return elements[first].element
        }

        mutating func lose() {
            elements.removeAll()
            first = 0
        }
    }

    /// What stands between the two.
    package enum Kind: Hashable, Sendable {
        case socket
        /// Read when it is complete; nothing ever comes back.
        case file
        /// Of two commands: what is said backwards is heard by nobody.
        case pipe
    }

    package let kind: Kind
    private var forward = Queue<StreamElement>()
    private var back = Queue<ReturnMessage>()
    /// Bytes written forward and not yet read.
    package private(set) var bytesOnTheWay = 0
    /// Bytes that a writer may leave unread before it has to wait.
    package var capacity = 4 << 20
    /// Nanoseconds from a write to when it can be read.
    package var latency: UInt64 = 20_000
    private var sourceHasClosed = false
    private var destinationHasClosed = false
    private var forwardIsCut = false
    private var backIsCut = false
    /// `breakOff` was called.
    private var isBrokenOff = false
    /// Asked before each write; true: the connection breaks off, and the write is the first to fail.
    package var breaks: ((Written) -> Bool)?

    /// What an end is about to write.
    package enum Written {
        case forward(StreamElement)
        case back(ReturnMessage)
    }

    package init(_ kind: Kind = .socket) { self.kind = kind }

    // MARK: Source's end

    /// False where nobody will read it.
    package func write(_ element: StreamElement, at now: UInt64) -> Bool {
        guard isWritable, carries(.forward(element)) else { return false }
        forward.append(element, at: now + latency)
        bytesOnTheWay += element.wireSize
        return true
    }

    package var isWritable: Bool { !sourceHasClosed && !destinationHasClosed && !forwardIsCut && !isBrokenOff }

    package var isFull: Bool { kind != .file && bytesOnTheWay > capacity && isWritable }

    /// When the source can read, a message or the end; nil: not yet.
    package var backArrival: UInt64? {
        switch kind {
        case .socket: break
        case .file: return 0
        case .pipe: return sourceHasClosed ? 0 : nil
        }
        return back.arrival ?? (destinationHasClosed || backIsCut || sourceHasClosed || isBrokenOff ? 0 : nil)
    }

    /// nil: the end.
    package func readBack() -> ReturnMessage? { back.isEmpty ? nil : back.take() }

    /// The source shuts its end down: what it wrote still arrives.
    package func closeSource() {
        sourceHasClosed = true
        back.lose()
    }

    // MARK: Destination's end

    package var forwardArrival: UInt64? {
        forward.arrival ?? (sourceHasClosed || forwardIsCut || destinationHasClosed || isBrokenOff ? 0 : nil)
    }

    /// nil: the end.
    package func readForward() -> StreamElement? {
        guard !forward.isEmpty else { return nil }
        let element = forward.take()
        bytesOnTheWay -= element.wireSize
        return element
    }

    package func writeBack(_ message: ReturnMessage, at now: UInt64) -> Bool {
        guard !destinationHasClosed, !sourceHasClosed, !forwardIsCut, carries(.back(message)) else { return false }
        // Behind a cut of this way alone what is said is lost, and nobody here knows.
        if !backIsCut, kind == .socket { back.append(message, at: now + latency) }
        return true
    }

    package func closeDestination() {
        destinationHasClosed = true
        forward.lose()
        bytesOnTheWay = 0
    }

    // MARK: The network between

    /// Both directions break.
    package func cut() {
        forwardIsCut = true
        forward.lose()
        bytesOnTheWay = 0
        cutBack()
    }

    /// The connection breaks for both ends at once, and each can know what the other has: no more is written at either, and what was written
    /// is still read, then the end.
    ///
    /// So a write that succeeds is a message that is read. A break that takes a written message with it leaves its writer in the belief that
    /// it was heard; that is the problem of the two generals, which no order of messages solves: whoever speaks last cannot know.
    package func breakOff() { isBrokenOff = true }

    private func carries(_ written: Written) -> Bool {
        if !isBrokenOff, let breaks, breaks(written) { isBrokenOff = true }
        return !isBrokenOff
    }

    /// What the destination says no longer arrives: the source reads the end.
    package func cutBack() {
        backIsCut = true
        back.lose()
    }
}
