// What the data loops and the control loop tell each other, through mailboxes.
internal import EventLoop
internal import TokenKit

/// What other threads tell a data loop.
enum WorkerMessage: Sendable {
  case lease(Lease, credential: Int)
  case withdraw(credential: Int)
  case answer(LeaseAnswer, credential: Int)
  case hold(credential: Int, ticket: UInt64)
  case release(credential: Int)
  case addresses(Result<[SocketAddress], GatewayError>, upstream: Int)
  /// A connection that came when the loops listened no more.
  case arrived(Arrival)
  /// No socket is open: nobody comes any more.
  case listenersClosed
  /// A connection whose place in `limits.connections` is taken.
  case adopt(Arrival)
  /// A connection for which there is no place, unless this loop or one behind it has an idle one to close.
  case makeRoom(Arrival, asked: Int)
  /// Take no new connections and finish what is going on.
  case drain
  /// The time for that is over.
  case abort
  /// A reload: go by these from now on.
  case reload(LoopSettings)
  /// What has it counted? Asked at that time of CLOCK_BOOTTIME.
  case count(ticket: UInt64, asked: Int64)
  /// Answer, which shows that this loop turns.
  case turn(ticket: UInt64)
  /// Spans were read from it: it is empty.
  case spansRead(SpanBuffer)
}

/// A new connection with a caller. Whoever has it owns the descriptor.
struct Arrival: Sendable {
  var fd: Int32
  var peer: SocketAddress
  var listener: Int
}

/// What a data loop tells the control loop.
enum ControlMessage: Sendable {
  case lease(LeaseQuestion, credential: Int, worker: Int)
  case holding(ticket: UInt64)
  /// It accepts no connections any more, and has taken what was queued.
  case stoppedListening
  /// It has taken what was queued on a socket that is no more.
  case released(socket: Int)
  case drained(worker: Int)
  /// Its loop can't go on. The others would hide that a part of the callers is not served.
  case failed(String)
  /// Lines of the access log were lost, and what the system said, if it said anything.
  case accessLogDropped(lines: UInt64, reason: SystemError?)
  case counters(CounterPart)
  case spans(SpanBuffer, worker: Int)
  /// Its loop turns.
  case turned(ticket: UInt64)
  /// A configuration file was read for a reload, and everything was made ready that takes time.
  case plansPrepared(Result<PreparedPlans, InvalidConfiguration>)
  /// A loop has nothing of a configuration any more.
  case planReleased(generation: Int)
}
