/// The command that runs a cell again, with the options of this command line.
import Foundation
import Plan
import Running

extension Reproduction {
    /// What every cell depends on: the program, the files of the environment, the binaries, the matrix and the known deviations. Paths are
    /// made absolute.
    init(_ binaries: BinaryOptions, matrix: String?, _ deviations: DeviationOptions) throws {
        func absolute(_ path: String) -> String { URL(fileURLWithPath: path).path }
        self.init(program: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
        environment = ["ACKMATRIX_CACHE", "ACKMATRIX_SHIM"].compactMap { name in
            ProcessInfo.processInfo.environment[name].map { Setting(name, $0.isEmpty ? "" : absolute($0)) }
        }
        if let matrix { options += ["--matrix", absolute(matrix)] }
        if let list = deviations.deviationList { options += ["--deviation-list", absolute(list)] }
        if deviations.deviations != .expected { options += ["--deviations", deviations.deviations.rawValue] }
        qemuOptions = binaries.own.flatMap { build in
            let parts = build.split(separator: "=", maxSplits: 1).map(String.init)
            return ["--qemu", "\(parts[0])=\(absolute(parts[parts.count - 1]))"]
        }
    }
}
