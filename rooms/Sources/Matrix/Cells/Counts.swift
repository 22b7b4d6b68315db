/// How counts are written in names, messages and reports.
import Plan

/// `1 cell`, `2 cells`; with a `plural` that does not end in s, `1 query`, `2 queries`.
package func counted(_ count: Int, _ noun: String, _ plural: String? = nil) -> String {
    "\(count) \(count == 1 ? noun : plural ?? noun + "s")"
}

/// The name of the handshake's user whose count stands at `place` in an `Outcome`: the devices come first, in plug order, then a requester.
package func userName(_ place: Int, devices: Int) -> String { place < devices ? "v\(place)" : EngineModules.Requester.idstr }
