// libcurl's multi handle on the control loop: its sockets on the loop's epoll, its time-outs on the loop's wheel.

internal import CCurl
internal import EventLoop
internal import TokenKit

/// The transfers that share authorities, TLS sessions and connections. Confined to the control loop.
///
/// Safety: libcurl is given this object's address for its two callbacks, and calls them only from within calls made
/// here. The handle is cleaned up by `close`, at the latest in `deinit`, while the object still lives.
@safe
final class CurlMulti {
  private let loop: EventLoop
  private let multi: UnsafeMutableRawPointer
  private var timer: TimerWheel.Timer?
  private var watches: [Int32: Watch] = [:]
  private var active: [UInt: (attempt: CurlAttempt, completion: Completion)] = [:]
  /// Transfers whose sockets the loop could not watch; ended after libcurl has returned.
  private var broken: [UInt] = []
  private var isActionQueued = false
  private var isClosed = false

  typealias Completion = (Result<GrantResponse, GrantTransportFailure>) -> Void

  /// nil when libcurl has no memory left, or can't be initialized.
  init?(_ loop: EventLoop) {
    guard CurlLibrary.isReady, let multi = unsafe curl_multi_init() else { return nil }
    self.loop = loop
    unsafe self.multi = unsafe multi
    timer = loop.timers.make(Alarm(self))
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    let codes = unsafe [
      ccurl_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, this),
      ccurl_multi_set_socket_function(multi, Self.onSocket),
      ccurl_multi_set_pointer(multi, CURLMOPT_TIMERDATA, this),
      ccurl_multi_set_timer_function(multi, Self.onTimer),
    ]
    if codes.contains(where: { $0 != CURLM_OK }) { return nil }
  }

  deinit { close() }

  /// Whether no transfer is going on.
  var isIdle: Bool { active.isEmpty }

  /// Starts a transfer. `completion` is called once, later than this call.
  func add(_ attempt: CurlAttempt, completion: @escaping Completion) throws(GrantTransportFailure) {
    let code = unsafe curl_multi_add_handle(multi, attempt.easy)
    if code != CURLM_OK { throw attempt.failure("curl_multi_\(code.rawValue)") }
    active[unsafe Self.key(attempt.easy)] = (attempt, completion)
  }

  /// Ends all transfers with a failure and gives everything back. Completions may do it: none is called from within
  /// libcurl.
  func close() {
    if isClosed { return }
    isClosed = true
    let ended = active.values.map { $0 }
    active = [:]
    for (attempt, _) in ended { _ = unsafe curl_multi_remove_handle(multi, attempt.easy) }
    _ = unsafe curl_multi_cleanup(multi)
    for watch in watches.values { loop.deregister(watch.registration, isClosing: false) }
    watches = [:]
    if let timer { loop.timers.release(timer) }
    timer = nil
    for (attempt, completion) in ended { completion(.failure(attempt.failure("cancelled"))) }
  }

  private static func key(_ easy: UnsafeMutableRawPointer) -> UInt { UInt(bitPattern: easy) }

  // MARK: What the loop says

  private func act(_ socket: curl_socket_t, _ events: Int32) {
    if isClosed { return }
    var running: Int32 = 0
    let code = unsafe curl_multi_socket_action(multi, socket, events, &running)
    if code != CURLM_OK {
      // The multi handle itself is out of order (no memory): none of its transfers will ever end.
      for key in active.keys { broken.append(key) }
    }
    reap()
  }

  /// Hands out what is over. A completion may start the next transfer.
  private func reap() {
    var result = CURLE_OK
    while !isClosed, let easy = unsafe ccurl_multi_next_done(multi, &result) {
      end(unsafe Self.key(easy)) { $0.outcome(result, now: WallTime(milliseconds: Process.wallClockMilliseconds())) }
    }
    while !isClosed, let key = broken.popLast() {
      end(key) { .failure($0.failure("internal_error")) }
    }
  }

  private func end(_ key: UInt, _ outcome: (CurlAttempt) -> Result<GrantResponse, GrantTransportFailure>) {
    guard let (attempt, completion) = active.removeValue(forKey: key) else { return }
    let result = outcome(attempt)
    _ = unsafe curl_multi_remove_handle(multi, attempt.easy)
    completion(result)
  }

  // MARK: What libcurl says

  /// Watches a socket as libcurl asks for it.
  private func watch(_ socket: curl_socket_t, _ what: Int32, for easy: UInt) {
    if what == CURL_POLL_REMOVE {
      // libcurl may keep the socket open, in its pool.
      if let watch = watches.removeValue(forKey: socket) { loop.deregister(watch.registration, isClosing: false) }
      return
    }
    let reading = what == CURL_POLL_IN || what == CURL_POLL_INOUT
    let writing = what == CURL_POLL_OUT || what == CURL_POLL_INOUT
    do throws(SystemError) {
      if let watch = watches[socket] {
        try loop.modify(watch.registration, reading: reading, writing: writing)
      } else {
        let events = SocketEvents(self, socket)
        watches[socket] = Watch(
          registration: try loop.register(socket, reading: reading, writing: writing, events))
      }
    } catch {
      broken.append(easy)
      queueAction()
    }
  }

  /// Arms the timer, nothing else: libcurl must not be called from within its callbacks.
  private func arm(_ milliseconds: Int) {
    guard let timer else { return }
    if milliseconds < 0 {
      loop.timers.cancel(timer)
    } else if milliseconds == 0 {
      loop.timers.cancel(timer)
      queueAction()
    } else {
      loop.timers.schedule(timer, at: Process.bootClockNanoseconds() + Int64(milliseconds) * 1_000_000)
    }
  }

  private func queueAction() {
    if isActionQueued || isClosed { return }
    isActionQueued = true
    loop.runLater(Alarm(self))
  }

  // Safety of both: `user` is the address of the multi whose handle is at work, see the type.

  private static let onSocket: curl_socket_callback = { easy, socket, what, user, _ in
    guard let easy = unsafe easy, let user = unsafe user else { return 0 }
    let this = unsafe Unmanaged<CurlMulti>.fromOpaque(user).takeUnretainedValue()
    this.watch(socket, what, for: unsafe key(easy))
    return 0
  }

  private static let onTimer: curl_multi_timer_callback = { _, milliseconds, user in
    guard let user = unsafe user else { return 0 }
    unsafe Unmanaged<CurlMulti>.fromOpaque(user).takeUnretainedValue().arm(milliseconds)
    return 0
  }

  // MARK: The loop's handlers, which don't keep the multi alive

  private struct Watch {
    let registration: EventLoop.Registration
  }

  private final class SocketEvents: EventHandler {
    private weak var multi: CurlMulti?
    private let socket: curl_socket_t

    init(_ multi: CurlMulti, _ socket: curl_socket_t) {
      self.multi = multi
      self.socket = socket
    }

    func handle(_ events: ReadyEvents) {
      var flags: Int32 = 0
      if !events.isDisjoint(with: [.readable, .readHangup, .hangup]) { flags |= CURL_CSELECT_IN }
      if events.contains(.writable) { flags |= CURL_CSELECT_OUT }
      if !events.isDisjoint(with: [.error, .hangup]) { flags |= CURL_CSELECT_ERR }
      multi?.act(socket, flags)
    }
  }

  private final class Alarm: TimerHandler, Runnable {
    private weak var multi: CurlMulti?
    init(_ multi: CurlMulti) { self.multi = multi }

    func timerFired(_ timer: TimerWheel.Timer) { multi?.act(CURL_SOCKET_TIMEOUT, 0) }

    func runAgain() {
      guard let multi else { return }
      multi.isActionQueued = false
      multi.act(CURL_SOCKET_TIMEOUT, 0)
    }
  }
}
