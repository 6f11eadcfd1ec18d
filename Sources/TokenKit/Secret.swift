// The type of everything that must never be printed: tokens, client secrets, caller tokens.

/// Text that prints as `<redacted>` however it is shown. `reveal()` is the one way to its content: search for it to
/// find every place that handles secrets.
public struct Secret: Sendable, Hashable {
  private let text: String

  /// Wraps `text`; nothing is copied or checked.
  public init(_ text: String) { self.text = text }

  /// The content, for the wire and the store only.
  public func reveal() -> String { text }

  /// Bytes of UTF-8.
  public var count: Int { text.utf8.count }

  /// Whether there is no content at all.
  public var isEmpty: Bool { text.isEmpty }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
  /// Always `<redacted>`.
  public var description: String { "<redacted>" }
  /// Always `<redacted>`.
  public var debugDescription: String { "<redacted>" }
  /// Without children, so that `dump` shows nothing either.
  public var customMirror: Mirror { Mirror(self, children: [:]) }
}
