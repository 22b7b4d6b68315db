/// What is drawn for a run: scripts of devices, with REINITs at any moment of a migration.
import VFIO

struct ScheduleDraw {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    /// splitmix64: the same numbers for the same seed, wherever it runs.
    private mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
        return word ^ (word >> 31)
    }

    mutating func number(_ range: ClosedRange<Int>) -> Int { range.lowerBound + Int(next() % UInt64(range.count)) }

    mutating func element<Element>(_ elements: [Element]) -> Element { elements[number(0...elements.count - 1)] }

    /// Small numbers as often as large ones.
    private mutating func scaled(_ most: Int) -> Int { number(1...(1 << number(0...most))) }

    /// A device on both sides. `inLastCall`: it may also re-initialise within the call that takes it out of precopy. No query can come
    /// between that and the stop, so that no program could notice it by the interface as it is (Linux 7.2).
    mutating func scripts(
        hasP2P: Bool, peers: [String], inLastCall: Bool, reinits: Int? = nil
    ) throws -> (source: DeviceScript, destination: DeviceScript) {
        var common = ["ackmatrix-device 1", "has precopy\(hasP2P ? " p2p" : "") reinit"]
        common += ["initial \(element([0, 16, 4096, 65_536, 1 << 20]) + 16 * number(0...63))"]
        // A read takes no more than this, so it is no smaller than lets a migration end in time.
        common += ["stop-copy \(8192 + 16 * scaled(14))", "drained \(element(["enomsg", "0"]))"]
        var source = common
        var destination = common
        if number(0...2) == 0 { source.append("cost precopy-info \(scaled(12))us") }
        if number(0...2) == 0 { source.append("cost set-state \(scaled(14))us") }
        if number(0...2) == 0 { destination.append("cost write \(scaled(13))us") }
        if number(0...2) == 0 { destination.append("rate write \(scaled(10))M/s") }
        for _ in 0..<(reinits ?? number(0...3)) { source.append(reinit(hasP2P: hasP2P, peers: peers, inLastCall: inLastCall)) }
        return (try script(source), try script(destination))
    }

    private func script(_ lines: [String]) throws -> DeviceScript {
        try DeviceScript(lines.joined(separator: "\n") + "\n", file: "a drawn script")
    }

    private mutating func reinit(hasP2P: Bool, peers: [String], inLastCall: Bool) -> String {
        let size = 16 * scaled(14)
        // Calls that set the state: the guest's start takes one without P2P and two with it, then come PRE_COPY, PRE_COPY_P2P, STOP_COPY.
        let last = hasP2P ? 5 : 3
        var moments = [
            "session-query \(scaled(9))", "session-query \(scaled(9))", "query \(scaled(7)) when=\(number(1...2))",
            "read \(16 * scaled(16)) when=1", "call read when=\(scaled(9))", "call data-size when=\(scaled(9))",
            "call precopy-info when=\(scaled(9))", "call set-state when=\(number(1...(inLastCall ? last : last - 1)))",
        ]
        if hasP2P { moments += ["state PRE_COPY_P2P", "state PRE_COPY_P2P when=1"] }
        if !peers.isEmpty {
            moments += ["peer \(element(peers)) PRE_COPY_P2P", "peer \(element(peers)) STOP_COPY", "peer \(element(peers)) PRE_COPY"]
        }
        return "on \(element(moments)) do reinit \(size)"
    }
}
