// swift-format-ignore-file
// Generated from harness/events/trace-events by `swift run EventGenerator`: do not edit.

extension Event {
    /// Recorder: descriptors and requests
    @inline(never)
    mutating func formatRecorderDescriptorsAndRequests<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .recordedBegin(var process, var contents):
            c.event("recorded_begin", .any)
            c.number("process ", &process)
            c.flag(", contents ", &contents)
            self = .recordedBegin(process: process, contents: contents)
        case .recordedEnd(var calls):
            c.event("recorded_end", .any)
            c.number("calls ", &calls)
            self = .recordedEnd(calls: calls)
        case .recordedOpen(var device, var kind, var result, var found, var took, var path):
            c.event("recorded_open", .any)
            c.device(&device)
            c.word(" ", &kind, " ret ")
            c.number("", &result)
            c.flag(", found ", &found)
            c.number(", took ", &took)
            c.text(" ns, path ", &path)
            self = .recordedOpen(device: device, kind, result: result, found: found, took: took, path: path)
        case .recordedClose(var device, var kind, var descriptor, var result, var took):
            c.event("recorded_close", .any)
            c.device(&device)
            c.word(" ", &kind, " fd ")
            c.number("", &descriptor)
            c.number(", ret ", &result)
            c.number(", took ", &took, " ns")
            self = .recordedClose(device: device, kind, descriptor: descriptor, result: result, took: took)
        case .recordedIoctl(var device, var call, var request, var result, var took, var input, var output):
            c.event("recorded_ioctl", .any)
            c.device(&device)
            c.text(" ", &call, " 0x")
            c.hex("", &request)
            c.number(" ret ", &result)
            c.number(", took ", &took)
            c.text(" ns, in ", &input, ", out ")
            c.text("", &output)
            self = .recordedIoctl(device: device, call: call, request: request, result: result, took: took, input: input, output: output)
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Recorder: migration
    @inline(never)
    mutating func formatRecorderMigration<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .recordedState(var device, var state, var result, var data, var took):
            c.event("recorded_state", .any)
            c.device(&device)
            c.word(" set ", &state, " ret ")
            c.number("", &result)
            c.number(", data fd ", &data)
            c.number(", took ", &took, " ns")
            self = .recordedState(device: device, state, result: result, data: data, took: took)
        case .recordedPrecopyInfo(var arguments):
            c.event("recorded_precopy_info", .any)
            c.device(&arguments.device)
            c.number(" init ", &arguments.initial)
            c.number(", dirty ", &arguments.dirty)
            c.hex(", flags 0x", &arguments.flags)
            c.number(", ret ", &arguments.result)
            c.number(", took ", &arguments.took, " ns")
            self = .recordedPrecopyInfo(arguments)
        case .recordedDataSize(var device, var size, var result, var took):
            c.event("recorded_data_size", .any)
            c.device(&device)
            c.number(" stop-copy ", &size)
            c.number(", ret ", &result)
            c.number(", took ", &took, " ns")
            self = .recordedDataSize(device: device, size: size, result: result, took: took)
        case .recordedRead(var arguments):
            c.event("recorded_read", .any)
            c.device(&arguments.device)
            c.number(" size ", &arguments.size)
            c.number(", ret ", &arguments.result)
            c.hex(", hash 0x", &arguments.hash)
            c.number(", took ", &arguments.took, " ns")
            self = .recordedRead(arguments)
        case .recordedWrite(var arguments):
            c.event("recorded_write", .any)
            c.device(&arguments.device)
            c.number(" size ", &arguments.size)
            c.number(", ret ", &arguments.result)
            c.hex(", hash 0x", &arguments.hash)
            c.number(", took ", &arguments.took, " ns")
            self = .recordedWrite(arguments)
        case .recordedAccess(var device, var access, var offset, var size, var result, var hash, var took):
            c.event("recorded_access", .any)
            c.device(&device)
            c.word(" ", &access, " offset 0x")
            c.hex("", &offset)
            c.number(", size ", &size)
            c.number(", ret ", &result)
            c.hex(", hash 0x", &hash)
            c.number(", took ", &took, " ns")
            self = .recordedAccess(device: device, access, offset: offset, size: size, result: result, hash: hash, took: took)
        default: preconditionFailure("expected an event of this section")
        }
    }

    /// Recorder: replayed device
    @inline(never)
    mutating func formatRecorderReplayedDevice<Codec: FieldCodec>(_ c: inout Codec) {
        switch consume self {
        case .deviceDeparted(var device, var position, var expected, var found):
            c.event("device_departed", .any)
            c.device(&device)
            c.number(" at ", &position)
            c.text(", expected ", &expected, "; found ")
            c.text("", &found)
            self = .deviceDeparted(device: device, position: position, expected: expected, found: found)
        default: preconditionFailure("expected an event of this section")
        }
    }
}
