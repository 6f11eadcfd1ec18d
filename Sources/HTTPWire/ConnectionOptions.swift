// The Connection field (RFC 9110 §7.6.1): persistence, and the fields that it makes hop-by-hop.

/// What the Connection lines of one head say.
struct ConnectionOptions {
  /// More than anybody needs; without a bound, a head full of options times its fields would be work without measure.
  private static let limit = 64

  private(set) var closes = false
  private(set) var keepsAlive = false
  private(set) var count = 0
  /// An option that is neither of these: a field by that name, in the head or behind the body, is hop-by-hop.
  private(set) var namesFields = false

  /// RFC 9112 §9.3. `Proxy-Connection` says nothing.
  func persists(minorVersion: UInt8) -> Bool {
    !closes && (minorVersion >= 1 || keepsAlive)
  }

  /// Takes one Connection line. In a request, naming Host, Content-Length or Transfer-Encoding is an attempt to take
  /// them from the next hop; in a response it is a habit of some servers, and those fields are ours to decide on.
  /// Elements that are no token name no field and say nothing.
  mutating func add(
    _ bytes: Span<UInt8>, _ value: ByteRange, inRequest: Bool, dropIn fields: inout [Field]
  ) throws(WireError) {
    // What nearly all peers send.
    if isEqualIgnoringCase(bytes, value, ("keep-alive" as StaticString).bytes) {
      keepsAlive = true
      return
    }
    var cursor = FieldListCursor(value, quotes: false)
    while let option = cursor.next(in: bytes) {
      if option.isEmpty { continue }
      count += 1
      guard count <= Self.limit else { throw WireError(.forbiddenConnectionOption) }
      if isEqualIgnoringCase(bytes, option, ("close" as StaticString).bytes) {
        closes = true
      } else if isEqualIgnoringCase(bytes, option, ("keep-alive" as StaticString).bytes) {
        keepsAlive = true
      } else if FieldName.classify(bytes, option).isFramingOrRouting {
        if inRequest { throw WireError(.forbiddenConnectionOption) }
      } else {
        namesFields = true
        drop(bytes, option, in: &fields)
      }
    }
  }

  private func drop(_ bytes: Span<UInt8>, _ option: ByteRange, in fields: inout [Field]) {
    for index in fields.indices where fields[index].name.count == option.count && !fields[index].isDropped {
      var offset = 0
      let name = Int(fields[index].name.start)
      let other = Int(option.start)
      let count = Int(option.count)
      while offset < count, bytes[name + offset].lowercased == bytes[other + offset].lowercased { offset += 1 }
      if offset == count { fields[index].isDropped = true }
    }
  }
}
