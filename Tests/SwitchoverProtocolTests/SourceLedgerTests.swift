import Testing

@testable import SwitchoverProtocol
