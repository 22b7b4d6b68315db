/// Files of the repository that tests read.
import Foundation

/// The path of a file of this repository, which is named as seen from its top folder.
package func repositoryFile(_ path: String) -> String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path + "/" + path
}
