// One reader's server-sent events (HTML Living Standard, 9.2): the newest snapshot, as often as the reader takes one.
internal import EventLoop

/// Confined to the control loop. A snapshot a second tells that the connection is alive: there are no other heartbeats.
final class StatusEvents: AdminSource {
  static let contentType = "text/event-stream"
  private static let partSize = 16 * 1024
  /// Said at once: the head alone would leave proxies and people in doubt. How long to wait before coming again.
  private static let start = Array("retry: 2000\n\n".utf8)
  private static let before = Array("event: snapshot\ndata: ".utf8)
  private static let after = Array("\n\n".utf8)

  /// What is on its way to the reader, and how much of it was given.
  private var message = StatusEvents.start
  private var given = 0
  /// The newest one. A slow reader misses those before it.
  private var newest: [UInt8]?
  private var wake: () -> Void = {}

  /// A snapshot: one line of JSON.
  func give(_ snapshot: [UInt8]) {
    newest = snapshot
    wake()
  }

  /// It ends with the connection.
  var isComplete: Bool { false }
  var isEndless: Bool { true }
  var isIdle: Bool { given == message.count && newest == nil }
  func whenReady(_ wake: @escaping () -> Void) { self.wake = wake }

  func next() -> [UInt8] {
    if given == message.count, let snapshot = newest {
      message = Self.before + snapshot + Self.after
      given = 0
      newest = nil
    }
    let end = min(given + Self.partSize, message.count)
    defer { given = end }
    return Array(message[given..<end])
  }
}
