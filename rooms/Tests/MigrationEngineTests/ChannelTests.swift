/// A connection that breaks off: what was written is read, and no more is written.
import Testing

@testable import MigrationEngine
@testable import MigrationStream

@Suite struct ChannelTests {
    @Test func whatWasWrittenIsRead() {
        let channel = Channel()
        #expect(channel.write(.header, at: 0) && channel.writeBack(.pong(1), at: 0))
        channel.breakOff()
        #expect(!channel.write(.endOfFile, at: 1) && !channel.writeBack(.shut(0), at: 1))
        #expect(!channel.isWritable)
        // On its way still, and so not the end.
        #expect(channel.forwardArrival == channel.latency && channel.backArrival == channel.latency)
        #expect(channel.readForward() == .header && channel.readBack() == .pong(1))
        #expect(channel.forwardArrival == 0 && channel.backArrival == 0)
        #expect(channel.readForward() == nil && channel.readBack() == nil)
    }

    @Test(arguments: [1, 2, 3]) func theWriteThatBreaksItIsTheFirstToFail(number: Int) {
        let channel = Channel()
        var asked = 0
        channel.breaks = { _ in
            asked += 1
            return asked == number
        }
        let written = [channel.write(.header, at: 0), channel.writeBack(.pong(1), at: 0), channel.write(.endOfFile, at: 0)]
        #expect(written == [1, 2, 3].map { $0 < number })
        #expect(asked == number)
    }

    /// A full channel holds its writer up only as long as somebody may read.
    @Test func aBrokenChannelIsNotFull() {
        let channel = Channel()
        channel.capacity = 0
        _ = channel.write(.header, at: 0)
        #expect(channel.isFull)
        channel.breakOff()
        #expect(!channel.isFull)
    }
}
