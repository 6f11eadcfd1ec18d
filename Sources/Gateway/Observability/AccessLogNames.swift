// The names of listeners, routes and credentials as they stand in lines of the access log, rendered once.

/// Immutable. Each loop has its own.
struct AccessLogNames: Sendable {
  /// Each listener's part, then each route's.
  let bytes: [UInt8]
  /// Where each part ends.
  let ends: [Int]
  let listenerCount: Int

  /// All by place, those that a reload has taken away included: requests that began before are logged after it.
  init(listeners: [String], routes: [(name: String, credential: String?)]) {
    var bytes: [UInt8] = []
    var ends: [Int] = []
    for listener in listeners {
      bytes += "\",\"listener\":\"\(AccessLogText.name(listener))\",\"peer\":\"".utf8
      ends.append(bytes.count)
    }
    for route in routes {
      bytes += ",\"route\":\"\(AccessLogText.name(route.name))\"".utf8
      if let credential = route.credential { bytes += ",\"credential\":\"\(AccessLogText.name(credential))\"".utf8 }
      ends.append(bytes.count)
    }
    self.bytes = bytes
    self.ends = ends
    listenerCount = listeners.count
  }

  /// - Parameter index: a listener's place, or a route's behind all listeners.
  func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }
}
