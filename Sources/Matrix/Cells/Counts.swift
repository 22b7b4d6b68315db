/// How counts are written in names, messages and reports.
import Plan

/// `1 cell`, `2 cells`.
package func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// The name of the handshake's user whose count stands at `place` in an `Outcome`: the devices come first, in plug order, then a requester.
package func userName(_ place: Int, devices: Int) -> String { place < devices ? "v\(place)" : EngineModules.Requester.idstr }
