// A response head as offsets over its bytes, and how its body is framed.

/// The offsets of one response head; reused like `RequestHead`.
package struct ResponseHead: Sendable {
  package var status: UInt16 = 0
  package var reason: ByteRange = .empty
  package var minorVersion: UInt8 = 1
  package var framing: BodyFraming = .none
  package var keepsAlive = true
  /// `Keep-Alive: timeout=N` in seconds, when the upstream sent one.
  package var keepAliveTimeout: UInt32?
  /// Connection names fields that may stand among the trailers as well (RFC 9110 §7.6.1).
  package var namesHopByHopFields = false
  package var fields: [Field] = []
  package var count = 0

  package init() { fields.reserveCapacity(128) }
}
