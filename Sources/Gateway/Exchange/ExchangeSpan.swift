// An exchange's place in a trace: the ids that go on to the upstream, and what its spans are made from at their ends.

/// A value of the exchange.
struct ExchangeSpan {
  /// A `traceparent` of ours goes to the upstream.
  private(set) var isTraced = false
  /// Its spans are written down.
  private(set) var isRecorded = false
  /// The trace was a caller's, whose `tracestate` belongs to it.
  private(set) var isContinued = false
  private(set) var flags: UInt8 = 0
  private(set) var trace = TraceID()
  /// 0: none.
  private(set) var parent: UInt64 = 0
  private(set) var id: UInt64 = 0

  // The attempt at hand; 0: none.
  var attempt: UInt64 = 0
  var attemptBegun: Int64 = 0
  var attempts: UInt16 = 0
  /// When the wait at hand for a token began; 0: it does not wait.
  var waitBegun: Int64 = 0
  var isWaitForReplacement = false

  /// Not traced.
  init() {}

  init(continuing context: TraceContext, id: UInt64) {
    isTraced = true
    isContinued = true
    isRecorded = context.isSampled
    flags = context.flags
    trace = context.trace
    parent = context.parent
    self.id = id
  }

  init(beginning trace: TraceID, id: UInt64, isSampled: Bool) {
    isTraced = true
    isRecorded = isSampled
    flags = isSampled ? TraceContext.sampled : 0
    self.trace = trace
    self.id = id
  }

  /// The parent that the upstream sees: the attempt's span, or that of the request if none are written down.
  var upstreamParent: UInt64 { attempt != 0 ? attempt : id }
}
