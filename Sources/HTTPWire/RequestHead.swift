// A request head as offsets over its bytes, and what the framing and routing rules need to know of it.

/// Methods that the rules tell apart; the bytes of every method are in `RequestHead.methodRange`.
package enum Method: UInt8, Sendable {
  case get, head, post, put, delete, options, patch, other

  /// RFC 9110 §9.2.2, without TRACE: may be sent a second time when nothing is known of the first.
  package var isIdempotent: Bool {
    switch self {
    case .get, .head, .put, .delete, .options: true
    case .post, .patch, .other: false
    }
  }
}

/// RFC 9112 §6.3: how a message's body is delimited.
package enum BodyFraming: Sendable, Equatable {
  case none
  case length(UInt64)
  case chunked
  /// Responses only: the body ends when the connection closes.
  case untilClose
}

package struct HeadLimits: Sendable {
  /// Bytes of the whole head, the empty line included.
  package var bytes: Int
  package var fields: Int
  /// Bytes of the request target.
  package var target: Int

  package init(bytes: Int = 16384, fields: Int = 100, target: Int = 8192) {
    self.bytes = bytes
    self.fields = fields
    self.target = target
  }
}

/// The offsets of one request head. Reused from request to request: `fields` keeps its capacity, so that parsing
/// allocates nothing in steady state. All ranges count from the first byte given to `parse`.
package struct RequestHead: Sendable {
  package var method: Method = .other
  package var methodRange: ByteRange = .empty
  /// The target as sent; for the absolute form `path` and `authority` point into it.
  package var target: ByteRange = .empty
  /// Path without query; `*` for OPTIONS *.
  package var path: ByteRange = .empty
  /// Query with its question mark, or empty.
  package var query: ByteRange = .empty
  /// The value of Host (or the authority of an absolute-form target, which must agree).
  package var authority: ByteRange = .empty
  package var minorVersion: UInt8 = 1
  package var framing: BodyFraming = .none
  /// RFC 9112 §9.3: whether the connection may carry another request after this one.
  package var keepsAlive = true
  package var expectsContinue = false
  package var acceptsTrailers = false
  package var fields: [Field] = []
  /// Which of the known names occur among the fields, dropped ones included.
  package var names = FieldNameSet.none
  /// Bytes of the head, leading empty line and closing empty line included.
  package var count = 0

  package init() { fields.reserveCapacity(128) }
}
