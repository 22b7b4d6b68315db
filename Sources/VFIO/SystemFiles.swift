/// Files, links and folders of /proc and /sys: what cannot be read is not there.
import Glibc

/// The first bytes of a file, at most `most`; nil if it cannot be read. Files of /proc have no size, so they are read and not measured.
package func systemFile(_ path: String, most: Int = 4096) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: most)
    let count = read(file, &bytes, bytes.count)
    return count < 0 ? nil : String(decoding: bytes[..<count], as: UTF8.self)
}

/// The first line of a file; nil if there is none.
package func firstLine(of path: String) -> String? { systemFile(path)?.split(separator: "\n", maxSplits: 1).first.map(String.init) }

/// The last part of what a symbolic link names.
package func linkedName(_ path: String) -> String? {
    var bytes = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0 else { return nil }
    return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self).split(separator: "/").last.map(String.init)
}

/// The names in a folder, sorted, without hidden ones; none if it cannot be read.
package func folderEntries(_ folder: String) -> [String] {
    guard let stream = opendir(folder) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if !name.hasPrefix(".") { names.append(name) }
    }
    return names.sorted()
}
