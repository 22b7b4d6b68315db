/// The recordings that tests of several targets read: Tests/Corpus, which its README explains.
package enum TestCorpus {
    package static let folder = repositoryFile("Tests/Corpus")

    /// The path of a file or folder of the corpus.
    package static func path(_ name: String) -> String { "\(folder)/\(name)" }
}
