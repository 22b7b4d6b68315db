/// What the declaration of an event says: its name, the thread that prints it, its text, and which releases print it.

/// One form of an event: a declaration of `trace-events`.
package struct EventForm: Sendable {
    /// An event of this form with empty arguments, which a reader fills in.
    let prototype: Event
    package let name: String
    package let thread: ThreadRole
    /// The text in the notation of `trace-events` files, without length modifiers: `%u`, `%d`, `%x`, `%s`.
    package let format: String
    /// The first release, or posting of the per-device series (`v1`, `v2`), that prints this form; nil: all releases do.
    package let since: String?
    /// The first release or posting that no longer prints this form; nil: the newest release still does.
    package let until: String?

    init(_ prototype: Event, since: String? = nil, until: String? = nil) {
        var event = prototype
        var describer = FieldDescriber()
        event.format(&describer)
        self.prototype = prototype
        (name, thread, format) = (describer.name, describer.thread, describer.format)
        (self.since, self.until) = (since, until)
    }
}

extension Event {
    /// The event's name, as in `trace-events` files.
    package var name: String { declaration.name.description }

    /// The thread that prints the event.
    package var thread: ThreadRole { declaration.thread }

    private var declaration: FieldDeclaration {
        var copy = self
        var declaration = FieldDeclaration()
        copy.format(&declaration)
        return declaration
    }

    /// The event as QEMU prints it, without prefix and line end.
    package var line: String {
        var printer = FieldPrinter()
        print(to: &printer)
        return String(decoding: printer.bytes, as: UTF8.self)
    }

    func print(to printer: inout FieldPrinter) {
        var copy = self
        copy.format(&printer)
    }
}
