// The two body formats in which OAuth2 servers take parameters: urlencoded and multipart forms.

/// Parameters in the order in which they came.
struct FormBody: Equatable {
  var pairs: [(name: String, value: String)]

  static func == (a: FormBody, b: FormBody) -> Bool { a.pairs.elementsEqual(b.pairs, by: ==) }

  /// nil when the body is not of a form's type or is malformed.
  init?(_ request: IncomingRequest) {
    let type = request.fields["Content-Type"] ?? ""
    let media = type.prefix { $0 != ";" }.lowercased()
    if media == "application/x-www-form-urlencoded" {
      guard let pairs = Self.urlencoded(request.body) else { return nil }
      self.pairs = pairs
    } else if media == "multipart/form-data", let boundary = Self.boundary(type) {
      guard let pairs = Self.multipart(request.body, boundary: boundary) else { return nil }
      self.pairs = pairs
    } else {
      return nil
    }
  }

  /// The value of a parameter that stands once; RFC 6749 §3.2 forbids repeating one.
  subscript(_ name: String) -> String? {
    let values = pairs.filter { $0.name == name }
    return values.count == 1 && !values[0].value.isEmpty ? values[0].value : nil
  }

  var hasRepeated: Bool { Set(pairs.map(\.name)).count != pairs.count }

  static func urlencoded(_ body: [UInt8]) -> [(name: String, value: String)]? {
    var pairs: [(name: String, value: String)] = []
    for pair in body.split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = decoded(parts[0]), let value = decoded(parts.count > 1 ? parts[1] : []) else { return nil }
      pairs.append((name, value))
    }
    return pairs
  }

  /// Percent and plus decoding; nil for a malformed escape or what is not UTF-8.
  static func decoded(_ bytes: ArraySlice<UInt8>) -> String? {
    var result: [UInt8] = []
    var index = bytes.startIndex
    while index < bytes.endIndex {
      switch bytes[index] {
      case UInt8(ascii: "+"): result.append(Ascii.space)
      case UInt8(ascii: "%"):
        guard index + 2 < bytes.endIndex, let high = Ascii.hexValue(bytes[index + 1]),
          let low = Ascii.hexValue(bytes[index + 2])
        else { return nil }
        result.append(high << 4 | low)
        index += 2
      default: result.append(bytes[index])
      }
      index += 1
    }
    return String(validating: result, as: UTF8.self)
  }

  private static func boundary(_ type: String) -> String? {
    for parameter in type.split(separator: ";").dropFirst() {
      let parts = parameter.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, Ascii.trimmed(parts[0]).lowercased() == "boundary" else { continue }
      let value = Ascii.trimmed(parts[1])
      if value.hasPrefix("\""), value.hasSuffix("\""), value.count > 2 { return String(value.dropFirst().dropLast()) }
      return value
    }
    return nil
  }

  /// RFC 7578 with the delimiters of RFC 2046 §5.1.1, for parts that are text.
  static func multipart(_ body: [UInt8], boundary: String) -> [(name: String, value: String)]? {
    guard let text = String(validating: body, as: UTF8.self) else { return nil }
    let bytes = Array(text.utf8)
    let delimiter = Array("\r\n--\(boundary)".utf8)
    // The first delimiter may stand at the very start, without its line end.
    var rest = ([13, 10] + bytes)[...]
    guard let first = find(delimiter, in: rest) else { return nil }
    rest = rest[(first + delimiter.count)...]
    var pairs: [(name: String, value: String)] = []
    while true {
      if rest.starts(with: [UInt8(ascii: "-"), UInt8(ascii: "-")]) { return pairs }
      guard rest.starts(with: [13, 10]), let end = find(delimiter, in: rest),
        let headEnd = find([13, 10, 13, 10], in: rest[..<end])
      else { return nil }
      guard let name = partName(rest[rest.startIndex..<headEnd]) else { return nil }
      pairs.append((name, String(decoding: rest[(headEnd + 4)..<end], as: UTF8.self)))
      rest = rest[(end + delimiter.count)...]
    }
  }

  private static func partName(_ head: ArraySlice<UInt8>) -> String? {
    for line in String(decoding: head, as: UTF8.self).split(separator: "\r\n") {
      guard line.lowercased().hasPrefix("content-disposition:"), let mark = line.firstRange(of: "name=\"") else {
        continue
      }
      return String(line[mark.upperBound...].prefix { $0 != "\"" })
    }
    return nil
  }

  private static func find(_ pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    guard bytes.count >= pattern.count else { return nil }
    for index in bytes.startIndex...(bytes.endIndex - pattern.count)
    where bytes[index] == pattern[0] && bytes[index..<index + pattern.count].elementsEqual(pattern) {
      return index
    }
    return nil
  }
}
