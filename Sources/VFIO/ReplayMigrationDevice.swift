/// A recording as a device inside the engine's process: the C model of `replay_device.h` behind the calls of `MigrationDevice`.
///
/// The device insists on the recorded calls. The first call that differs is a departure, which is logged; from then on every call fails
/// with EPROTO.
import CVFIOMock
import MigrationTrace
import SystemPackage

/// A recording in the form that the replayed device reads; the shim reads the same text.
package struct ReplayText: Hashable, Sendable {
    package let text: String

    /// Why a text was refused.
    package struct Refusal: Error, Hashable, CustomStringConvertible {
        package let description: String
    }

    /// Checks the text. `name` appears in a refusal only.
    package init(_ text: String, name: String) throws(Refusal) {
        self.text = text
        var refusal = script_refusal()
        guard let device = Self.made(name, text, mock_world.silent, &refusal) else {
            let reason = withUnsafeBytes(of: refusal.reason) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
            throw Refusal(description: "\(name):\(refusal.line): \(refusal.line == 0 ? "out of memory" : reason)")
        }
        replay_device_destroy(device)
    }

    fileprivate static func made(
        _ name: String, _ text: String, _ world: mock_world, _ refusal: inout script_refusal
    ) -> OpaquePointer? {
        var (text, world) = (text, world)
        return text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { replay_device_create(name, $0.baseAddress, $0.count, &world, &refusal) }
        }
    }
}

extension mock_world {
    /// A world in which nothing happens, for a text that is only checked.
    fileprivate static var silent: mock_world {
        mock_world(context: nil, event: { _, _ in }, pin: { _, _, _, _ in nil }, open_data: { _, _ in -1 }, fault: nil)
    }
}

package final class ReplayMigrationDevice: DeviceRequests {
    package let name: String
    private let world: MockWorld
    private let model: OpaquePointer

    /// `log` receives the device's events, within the call that causes them, and must not call a device.
    package init(name: String, _ replay: ReplayText, log: @escaping (Event) -> Void) {
        self.name = name
        world = MockWorld(name: name, fault: nil, log: log)
        var refusal = script_refusal()
        guard let model = ReplayText.made(name, replay.text, world.callbacks, &refusal) else {
            fatalError("no memory for a replayed device")
        }
        self.model = model
        bindToIommufd()
    }

    deinit { replay_device_destroy(model) }

    /// The recorded calls that were not made; 0 after a departure.
    package var left: Int { Int(replay_device_left(model)) }

    package func request(_ number: UInt64, _ argument: UnsafeMutableRawBufferPointer) -> Result<Void, Errno> {
        during(argument) { replay_device_ioctl(model, number, $0) }.result(())
    }

    package func dataRequest(
        _ descriptor: DataDescriptor, _ number: UInt64, _ argument: UnsafeMutableRawBufferPointer
    ) -> Result<Void, Errno> {
        during(argument) { replay_data_ioctl(model, descriptor.session, number, $0) }.result(())
    }

    package func read(_ descriptor: DataDescriptor, at address: UnsafeMutableRawPointer?, count: Int) -> Result<Int, Errno> {
        let memory = UnsafeMutableRawBufferPointer(start: address, count: address == nil ? 0 : count)
        let outcome = during(memory) { replay_data_read(model, descriptor.session, $0, count) }
        return outcome.result(Int(outcome.result))
    }

    package func write(_ descriptor: DataDescriptor, at address: UnsafeRawPointer?, count: Int) -> Result<Int, Errno> {
        let memory = UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(mutating: address), count: address == nil ? 0 : count)
        let outcome = during(memory, writable: false) { replay_data_write(model, descriptor.session, $0, count) }
        return outcome.result(Int(outcome.result))
    }

    package func close(_ descriptor: DataDescriptor) { replay_data_close(model, descriptor.session) }

    /// A recording goes on where it was.
    package func reopen() -> Result<Void, Errno> { .success(()) }
    package func openAgain() -> Result<Void, Errno>? { nil }
    package func isReadable(_ descriptor: DataDescriptor) -> Result<Bool, Errno>? { nil }
    package func seek(_ descriptor: DataDescriptor) -> Result<Void, Errno>? { nil }

    private func during(
        _ memory: UnsafeMutableRawBufferPointer, writable: Bool = true, _ call: (UInt64) -> mock_outcome
    ) -> mock_outcome {
        defer { world.entered.removeAll(keepingCapacity: true) }
        return world.lend(memory, writable: writable, to: call)
    }
}
