/// Axes with their values, and a selection of one value on every axis.

/// A property of a cell and the values it may take.
package struct Axis: Hashable, Sendable {
    package let name: String
    /// 2 to 64 words. The first is the plain value, which a name leaves out.
    package let values: [String]
    package let about: String
    /// The form of a value in a name: `{}` stands for the value.
    package let token: String
    /// Values whose cells complete with ACKs that hold no decision back, each with the reason.
    package var ungated: [String: String] = [:]

    package var plain: String { values[0] }

    /// The word for this value in a name.
    package func token(of value: String) -> String { token.replacing("{}", with: value) }
}

/// A value on every axis of a matrix file.
package struct Selection: Hashable, Sendable {
    /// A value that is not the plain one.
    package struct Change: Hashable, Sendable {
        package let axis: String
        package let value: String
        /// The value's word in a name.
        package let token: String
    }

    package let axes: [Axis]
    /// The position of the selected value among each axis' values.
    let values: [UInt8]

    init(axes: [Axis], values: [UInt8]) {
        self.axes = axes
        self.values = values
    }

    /// The selection with these values, and plain values elsewhere; nil if an axis or a value is not in `axes`.
    package init?(_ axes: [Axis], _ changes: [String: String]) {
        var values = [UInt8](repeating: 0, count: axes.count)
        for (name, value) in changes {
            guard let axis = axes.firstIndex(where: { $0.name == name }), let index = axes[axis].values.firstIndex(of: value) else {
                return nil
            }
            values[axis] = UInt8(index)
        }
        self.init(axes: axes, values: values)
    }

    /// The value on an axis; nil where there is no axis of that name.
    package func value(on axis: String) -> String? {
        axes.firstIndex { $0.name == axis }.map { axes[$0].values[Int(values[$0])] }
    }

    /// The value on an axis, which must be one of `axes`.
    package subscript(axis: String) -> String {
        guard let value = value(on: axis) else { preconditionFailure("no axis '\(axis)' among \(axes.map(\.name))") }
        return value
    }

    /// The values that are not plain, in the order of the axes.
    package var changes: [Change] {
        zip(axes, values).compactMap { axis, index in
            guard index > 0 else { return nil }
            let value = axis.values[Int(index)]
            return Change(axis: axis.name, value: value, token: axis.token(of: value))
        }
    }

    /// The words of the values that are not plain, in the order of the axes.
    package var tokens: [String] { changes.map(\.token) }

    /// All tokens joined by `+`; `plain` if there are none. The name is unique within a matrix file, and stable: an axis or a value that is
    /// added to the file changes no name.
    package var name: String {
        let tokens = tokens
        return tokens.isEmpty ? Self.plainName : tokens.joined(separator: "+")
    }

    static let plainName = "plain"

    /// Hashes the values alone, since the axes of all selections in a set are the same.
    package func hash(into hasher: inout Hasher) { hasher.combine(values) }
}
