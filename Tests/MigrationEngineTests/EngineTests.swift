import Testing

@testable import MigrationEngine
