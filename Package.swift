// swift-tools-version: 6.2
import PackageDescription

// The tests run against the optimised build that the matrix runs with, and look into its modules.
let strict: [SwiftSetting] = [
    .treatAllWarnings(as: .error), .swiftLanguageMode(.v6), .unsafeFlags(["-enable-testing"], .when(configuration: .release)),
]
// Compiled without optimisation: what a command does once, and the tests with their expanded macros. To optimise Reports takes 38 s of
// processor time instead of 10 s, and changes no measured figure. File by file VerificationTests take 64 s, and 39 s as a whole.
let once: [SwiftSetting] = strict + [.unsafeFlags(["-Onone"], .when(configuration: .release))]

// Only the command that builds the documentation needs the plugin: other builds neither fetch nor compile it.
let documentation: [Package.Dependency] =
    Context.environment["ACKMATRIX_DOCUMENTATION"] == nil
    ? [] : [.package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0")]

let package = Package(
    name: "ackmatrix",
    products: [.executable(name: "ackmatrix", targets: ["ackmatrix"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/CoreOffice/XMLCoder", from: "0.18.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ] + documentation,
    targets: [
        .target(
            name: "CVFIOMock",
            path: "harness/vfio",
            exclude: ["bench", "tests", "shim.c", "recorder.c", "Makefile"],
            publicHeadersPath: "include",
            cSettings: [.treatAllWarnings(as: .error), .enableWarning("all"), .enableWarning("extra"), .define("_GNU_SOURCE")]
        ),
        .systemLibrary(name: "CSQLite", path: "harness/sqlite", providers: [.apt(["libsqlite3-dev"])]),
        .executableTarget(name: "EventGenerator", path: "harness/events", exclude: ["trace-events"], swiftSettings: once),
        .target(name: "MigrationTrace", swiftSettings: strict),
        .target(
            name: "VFIO", dependencies: ["CVFIOMock", "MigrationTrace", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict),
        .target(
            name: "DeviceCheck",
            dependencies: ["VFIO", "CVFIOMock", "MigrationTrace", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: once),
        .target(name: "HostCheck", dependencies: ["VFIO"], swiftSettings: once),
        .target(name: "Recording", dependencies: ["VFIO", "MigrationTrace"], swiftSettings: once),
        .target(name: "SwitchoverProtocol", swiftSettings: strict),
        .target(name: "MigrationStream", swiftSettings: strict),
        .target(
            name: "MigrationEngine",
            dependencies: [
                "SwitchoverProtocol", "MigrationStream", "MigrationTrace", "VFIO",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(name: "Plan", dependencies: ["MigrationTrace", "VFIO"], swiftSettings: strict),
        .target(
            name: "QEMUPeer",
            dependencies: [
                "Plan", "VFIO", "MigrationTrace",
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "EnginePeer",
            dependencies: [
                "Plan", "MigrationEngine", "MigrationStream", "SwitchoverProtocol", "MigrationTrace", "VFIO",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(name: "Prediction", swiftSettings: strict),
        .target(name: "Verification", dependencies: ["MigrationTrace"], swiftSettings: strict),
        .target(name: "Pictures", dependencies: ["MigrationTrace", "Verification"], swiftSettings: once),
        .target(
            name: "Matrix",
            dependencies: [
                "Plan", "MigrationTrace", "VFIO", "Prediction", .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "Running",
            dependencies: [
                "Matrix", "Plan", "QEMUPeer", "EnginePeer", "MigrationEngine", "SwitchoverProtocol", "VFIO", "MigrationTrace",
                "Verification",
                "Prediction",
            ],
            swiftSettings: strict),
        .target(
            name: "Reports",
            dependencies: [
                "Running", "Matrix", "Plan", "QEMUPeer", "VFIO", "MigrationTrace", "Verification", "Prediction", "Pictures",
                .product(name: "XMLCoder", package: "XMLCoder"),
            ],
            swiftSettings: once
        ),
        // The archive, so that ackmatrix starts where the library is not installed: on a node of a cluster, in the lab's guest.
        .target(
            name: "History", dependencies: ["CSQLite", "Running", "Matrix", "Plan"], swiftSettings: once,
            linkerSettings: [.linkedLibrary(":libsqlite3.a"), .linkedLibrary("m")]),
        .target(
            name: "Bisect",
            dependencies: [
                "Pictures", "Reports", "Running", "Matrix", "Plan", "QEMUPeer", "EnginePeer", "MigrationEngine", "SwitchoverProtocol",
                "MigrationTrace",
                "Verification",
                .product(name: "Subprocess", package: "swift-subprocess"), .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: once),
        .target(
            name: "Exploration",
            dependencies: ["Plan", "EnginePeer", "VFIO", "MigrationTrace", "SwitchoverProtocol", "Verification"], swiftSettings: strict),
        .target(name: "Experiment", dependencies: ["Plan", "QEMUPeer", "VFIO", "MigrationTrace"], swiftSettings: once),
        .executableTarget(
            name: "ackmatrix",
            dependencies: [
                "Matrix", "Running", "Reports", "History", "Bisect", "Exploration", "Experiment", "Plan", "QEMUPeer", "EnginePeer",
                "MigrationTrace", "SwitchoverProtocol", "Verification", "VFIO", "DeviceCheck", "HostCheck", "Recording", "Pictures",
                "Prediction",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Subprocess", package: "swift-subprocess"), .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: once
        ),
        .executableTarget(
            name: "trace-benchmark", dependencies: ["MigrationTrace", "Verification"], path: "Tests/Benchmarks/TraceBenchmark",
            swiftSettings: strict),
        .executableTarget(
            name: "engine-benchmark", dependencies: ["Matrix", "Running", "Plan", "QEMUPeer", "EnginePeer"],
            path: "Tests/Benchmarks/EngineBenchmark",
            exclude: ["figures"],
            swiftSettings: strict),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: strict),
        .testTarget(
            name: "MigrationTraceTests", dependencies: ["MigrationTrace", "TestSupport", "EventGenerator"],
            swiftSettings: once),
        .testTarget(
            name: "VFIOTests",
            dependencies: ["VFIO", "CVFIOMock", "MigrationTrace", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: once),
        .testTarget(name: "DeviceCheckTests", dependencies: ["DeviceCheck", "TestSupport", "VFIO"], swiftSettings: once),
        .testTarget(name: "HostCheckTests", dependencies: ["HostCheck"], swiftSettings: once),
        .testTarget(
            name: "RecordingTests", dependencies: ["Recording", "TestSupport", "VFIO", "MigrationTrace"],
            swiftSettings: once),
        .testTarget(name: "SwitchoverProtocolTests", dependencies: ["SwitchoverProtocol"], swiftSettings: once),
        .testTarget(
            name: "MigrationEngineTests",
            dependencies: [
                "MigrationEngine", "MigrationStream", "MigrationTrace", "VFIO", "SwitchoverProtocol", "TestSupport",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: once),
        .testTarget(name: "PlanTests", dependencies: ["Plan", "MigrationTrace"], swiftSettings: once),
        .testTarget(
            name: "QEMUPeerTests", dependencies: ["QEMUPeer", "TestSupport", "Plan", "MigrationTrace", "VFIO"], swiftSettings: once),
        .testTarget(
            name: "EnginePeerTests", dependencies: ["EnginePeer", "Plan", "SwitchoverProtocol", "MigrationTrace", "VFIO"],
            swiftSettings: once),
        .testTarget(
            name: "VerificationTests", dependencies: ["Verification", "MigrationTrace", "TestSupport"], exclude: ["Format1"],
            swiftSettings: once),
        .testTarget(
            name: "PicturesTests", dependencies: ["Pictures", "MigrationTrace", "Verification", "TestSupport"], exclude: ["Golden"],
            swiftSettings: once),
        .testTarget(name: "PredictionTests", dependencies: ["Prediction", "TestSupport"], swiftSettings: once),
        .testTarget(
            name: "MatrixTests", dependencies: ["Matrix", "Running", "TestSupport", "Plan", "EnginePeer", "MigrationTrace"],
            swiftSettings: once),
        .testTarget(
            name: "RunningTests",
            dependencies: [
                "Running", "Matrix", "TestSupport", "Plan", "QEMUPeer", "EnginePeer", "MigrationTrace", "Verification", "Prediction",
                "SwitchoverProtocol",
            ],
            swiftSettings: once),
        .testTarget(
            name: "ReportsTests",
            dependencies: [
                "Reports", "Running", "Matrix", "TestSupport", "Plan", "QEMUPeer", "VFIO", "MigrationTrace", "Verification",
                "Prediction", .product(name: "XMLCoder", package: "XMLCoder"),
            ],
            exclude: ["Golden"], swiftSettings: once),
        .testTarget(name: "HistoryTests", dependencies: ["History", "Running", "Plan", "TestSupport"], swiftSettings: once),
        .testTarget(
            name: "BisectTests", dependencies: ["Bisect", "MigrationTrace", "Plan", "TestSupport", "ackmatrix"], swiftSettings: once),
        .testTarget(
            name: "ExplorationTests", dependencies: ["Exploration", "Plan", "EnginePeer", "VFIO", "MigrationTrace"], swiftSettings: once),
        .testTarget(name: "ExperimentTests", dependencies: ["Experiment", "MigrationTrace", "VFIO"], swiftSettings: once),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "TestSupport", "ackmatrix", "Plan", "QEMUPeer", "Running", "Matrix", "Reports", "MigrationTrace", "Verification", "VFIO",
            ],
            swiftSettings: once),
    ]
)

// The sanitized runs need the tests that touch C or threads and what these stand on: building the rest would take most of their time.
if Context.environment["ACKMATRIX_SANITIZED"] != nil {
    let targets = ["VFIOTests", "PlanTests", "QEMUPeerTests", "EnginePeerTests"]
    let rooms = [
        "CVFIOMock", "MigrationTrace", "VFIO", "SwitchoverProtocol", "MigrationStream", "MigrationEngine", "Plan", "QEMUPeer", "EnginePeer",
    ]
    package.targets.removeAll { !(targets + rooms + ["TestSupport"]).contains($0.name) }
    package.products = []
    package.dependencies.removeAll { dependency in
        guard case .sourceControl(_, let location, _) = dependency.kind else { return false }
        return !["swift-subprocess", "swift-system"].contains { location.hasSuffix($0) }
    }
}
