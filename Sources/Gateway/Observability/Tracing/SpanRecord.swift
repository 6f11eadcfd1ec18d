// A finished span as a data loop writes it down: numbers of a fixed size, and a few bytes of text beside them.
internal import EventLoop
internal import HTTPWire

/// Times are nanoseconds of CLOCK_BOOTTIME; names of the configuration are places, which stay the same over reloads.
struct SpanRecord: Sendable {
  enum Kind: UInt8, Sendable {
    /// A caller's request, from its head to the end of the answer.
    case request
    /// One try of it with an upstream server, from the wish for a connection on.
    case attempt
    /// The time that it waited for a token.
    case wait
  }

  struct Marks: OptionSet, Sendable {
    let rawValue: UInt8
    /// Over a connection that had served before.
    static let reused = Marks(rawValue: 1)
    /// Sent a second time, after an answer that refused the token.
    static let replayed = Marks(rawValue: 2)
    /// We ended it before the answer was whole.
    static let cut = Marks(rawValue: 4)
    /// The caller went away first.
    static let abandoned = Marks(rawValue: 8)
    /// A wait: the upstream had refused the token. Else there was none.
    static let refused = Marks(rawValue: 16)
    /// The parent is a caller's span.
    static let hasRemoteParent = Marks(rawValue: 32)
  }

  var kind: Kind
  var marks: Marks = []
  var flags: UInt8
  var method = Method.other
  var error: ErrorReason?
  /// 0: none.
  var status: UInt16 = 0
  /// Which of the request's tries it is, from 0 on.
  var number: UInt16 = 0
  var trace: TraceID
  var id: UInt64
  /// 0: none.
  var parent: UInt64
  var begun: Int64
  var ended: Int64
  /// There was a connection; 0: never.
  var connected: Int64 = 0
  /// The first byte of the answer; 0: none came.
  var firstByte: Int64 = 0
  /// Of the lease that was sent; 0: none.
  var generation: UInt64 = 0
  var bytesIn: UInt64 = 0
  var bytesOut: UInt64 = 0
  /// -1: none.
  var route: Int32 = -1
  var listener: Int32 = -1
  var upstream: Int32 = -1
  /// The caller's address, or the upstream's.
  var peer = SpanPeer(nil)
  /// Where its text stands: the method, if it is none of the usual ones, then the path.
  fileprivate(set) var textStart: Int32 = 0
  fileprivate(set) var methodCount: UInt16 = 0
  fileprivate(set) var pathCount: UInt16 = 0

  init(_ kind: Kind, trace: TraceID, id: UInt64, parent: UInt64, flags: UInt8, begun: Int64, ended: Int64) {
    self.kind = kind
    self.trace = trace
    self.id = id
    self.parent = parent
    self.flags = flags
    self.begun = begun
    self.ended = ended
  }

  var methodRange: Range<Int> { Int(textStart)..<Int(textStart) + Int(methodCount) }
  var pathRange: Range<Int> { methodRange.upperBound..<methodRange.upperBound + Int(pathCount) }
}

/// An address as numbers alone, so that records are copied as they stand.
struct SpanPeer: Sendable {
  private enum Kind: UInt8 { case none, ipv4, ipv6, unix }

  private var high: UInt64 = 0
  private var low: UInt64 = 0
  private var port: UInt16 = 0
  private var kind = Kind.none

  /// - Parameter address: nil: it is not known.
  init(_ address: SocketAddress?) {
    switch address {
    case .ipv4(let address, let port): (low, self.port, kind) = (UInt64(address), port, .ipv4)
    case .ipv6(let high, let low, _, let port): (self.high, self.low, self.port, kind) = (high, low, port, .ipv6)
    case .unix: kind = .unix
    case nil: break
    }
  }

  /// Without the path of a Unix socket.
  var address: SocketAddress? {
    switch kind {
    case .none: nil
    case .ipv4: .ipv4(UInt32(truncatingIfNeeded: low), port: port)
    case .ipv6: .ipv6(high: high, low: low, scope: 0, port: port)
    case .unix: .unix(path: "")
    }
  }
}

/// Finished spans on their way from a data loop to the control loop. Its memory is taken once; it belongs to one of them
/// at a time.
struct SpanBuffer: Sendable {
  static let recordLimit = 1024
  static let textLimit = 128 * 1024
  /// Bytes of a path that are kept, and of a method.
  static let pathLimit = 1024
  static let methodLimit = 32

  private(set) var records: [SpanRecord] = []
  private(set) var text: [UInt8] = []

  init() {
    records.reserveCapacity(Self.recordLimit)
    text.reserveCapacity(Self.textLimit)
  }

  var isEmpty: Bool { records.isEmpty }

  /// It had better go now.
  var isHalfFull: Bool { records.count >= Self.recordLimit / 2 || text.count >= Self.textLimit / 2 }

  private var hasRoom: Bool {
    records.count < Self.recordLimit && text.count + Self.pathLimit + Self.methodLimit <= Self.textLimit
  }

  /// Takes a span with its path in two parts; what of it is too long is left out.
  /// - Parameter method: empty for the usual ones.
  /// - Returns: false when there is no room for it.
  mutating func append(
    _ record: SpanRecord, method: Span<UInt8> = Span(), base: Span<UInt8> = Span(), path: Span<UInt8> = Span()
  ) -> Bool {
    if !hasRoom { return false }
    var record = record
    let start = text.count
    let method = method.extracting(first: Self.methodLimit)
    let base = base.extracting(first: Self.pathLimit)
    let path = path.extracting(first: Self.pathLimit - base.count)
    text.append(addingCapacity: method.count + base.count + path.count) { out in
      out.append(copying: method)
      out.append(copying: base)
      out.append(copying: path)
    }
    record.textStart = Int32(truncatingIfNeeded: start)
    record.methodCount = UInt16(truncatingIfNeeded: method.count)
    record.pathCount = UInt16(truncatingIfNeeded: base.count + path.count)
    records.append(record)
    return true
  }

  /// Empties it; the memory stays.
  mutating func removeAll() {
    records.removeAll(keepingCapacity: true)
    text.removeAll(keepingCapacity: true)
  }
}
