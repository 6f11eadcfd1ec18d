// The part of a load run that lives on its loop: the callers and their connections.
internal import EventLoop
internal import Synchronization
internal import TokenKit

/// All callers of one run.
final class LoadCore: TimerHandler {
  let loop: EventLoop
  let run: LoadRun
  private let report: Shared<Mutex<LoadReport>>
  private let isStopping: Shared<Atomic<Bool>>
  private let start: Int64
  private var active = 0
  private var callers: [LoadCaller] = []
  private var ticker: TimerWheel.Timer?

  static func run(_ run: LoadRun, into report: Shared<Mutex<LoadReport>>, isStopping: Shared<Atomic<Bool>>) {
    do throws(SystemError) {
      let core = LoadCore(try EventLoop(), run, report, isStopping)
      core.begin()
      if core.active > 0 { try core.loop.run() }
      core.end()
    } catch {
      report.value.withLock { $0.failures["\(error)", default: 0] += 1 }
    }
  }

  private init(
    _ loop: EventLoop, _ run: LoadRun, _ report: Shared<Mutex<LoadReport>>, _ isStopping: Shared<Atomic<Bool>>
  ) {
    self.loop = loop
    self.run = run
    self.report = report
    self.isStopping = isStopping
    start = loop.now
  }

  private func begin() {
    active = run.callers
    let ticker = loop.timers.make(self)
    self.ticker = ticker
    loop.timers.schedule(ticker, at: loop.now + 50_000_000)
    callers = (0..<run.callers).map { LoadCaller(self, number: $0) }
    for caller in callers { caller.next() }
  }

  private func end() {
    if let ticker { loop.timers.release(ticker) }
    callers = []
  }

  /// Time-outs are looked for in steps of 50 ms: one timer for all callers.
  func timerFired(_ timer: TimerWheel.Timer) {
    loop.timers.schedule(timer, at: loop.now + 50_000_000)
    for caller in callers { caller.checkDeadline() }
  }

  func mayBegin(_ ordinal: Int) -> Bool {
    if isStopping.value.load(ordering: .relaxed) { return false }
    switch run.amount {
    case .requestsPerCaller(let count): return ordinal < count
    case .time(let time): return Process.bootClockNanoseconds() - start < time.nanoseconds
    }
  }

  func connected() { report.value.withLock { $0.connections += 1 } }

  func record(_ caller: Int, _ ordinal: Int, from begin: Int64, status: Int, failure: String?) {
    let now = Process.bootClockNanoseconds()
    let entry = LoadReport.Entry(
      caller: caller, ordinal: ordinal, start: .nanoseconds(begin - start), duration: .nanoseconds(now - begin),
      status: status)
    report.value.withLock { report in
      report.entries.append(entry)
      if let failure { report.failures[failure, default: 0] += 1 }
    }
  }

  func finished() {
    active -= 1
    if active == 0 { loop.stop() }
  }
}

/// One caller: a request, its response, the next request.
final class LoadCaller: StreamDelegate, TimerHandler, Runnable {
  private let core: LoadCore
  private let number: Int
  private var stream: Stream?
  private var reader = MessageReader(.responses)
  private var source = BodySource(.none)
  private var response = ReceivedResponse()
  private var ordinal = 0
  private var begin: Int64 = 0
  private var isWaiting = false
  private var isSending = false
  private var timer: TimerWheel.Timer?

  init(_ core: LoadCore, number: Int) {
    self.core = core
    self.number = number
  }

  func runAgain() { next() }

  func timerFired(_ timer: TimerWheel.Timer) { next() }

  func next() {
    guard core.mayBegin(ordinal) else {
      stream?.close()
      stream = nil
      if let timer { core.loop.timers.release(timer) }
      return core.finished()
    }
    let request = core.run.request(number, ordinal)
    begin = Process.bootClockNanoseconds()
    isWaiting = true
    response = ReceivedResponse()
    if !core.run.keepsBodies { response.digest = BodyDigest() }
    if stream == nil {
      do throws(SystemError) {
        let made = try Stream(core.loop, connected: TCP.connect(to: core.run.address))
        made.delegate = self
        stream = made
        reader = MessageReader(.responses)
        core.connected()
      } catch {
        return complete(failure: "\(error)")
      }
    }
    reader.expectAnswer(toHead: request.method == "HEAD")
    source = BodySource(request.body)
    isSending = true
    stream?.write(request.head(to: core.run.address, closes: !core.run.keepsConnections).span)
    send()
  }

  private func send() {
    while isSending, let stream, !stream.isClosed {
      guard case .bytes(let piece) = source.next() else {
        isSending = false
        stream.flush()
        return
      }
      stream.write(piece.span)
      stream.flush()
      if stream.unsent > 0 { return }
    }
  }

  func stream(_ stream: Stream, didRead bytes: Span<UInt8>) {
    guard isWaiting else { return drop("bytes after the response") }
    reader.feed(bytes)
    readEvents()
  }

  private func readEvents() {
    do throws(MessageViolation) {
      while isWaiting, let event = try reader.next() {
        switch event {
        case .head(let head): response.head = head
        case .data(let data): if core.run.keepsBodies { response.body += data } else { response.digest?.add(data) }
        case .end(let trailers):
          if response.status < 200 { continue }
          response.trailers = trailers
          // An answer ahead of the request's end leaves the connection in an unknown state.
          let isReusable = response.head.keepsAlive && core.run.keepsConnections && !isSending
          if !isReusable { dropConnection() }
          complete(failure: core.run.check(response))
        }
      }
    } catch {
      drop(error.description)
    }
  }

  private func complete(failure: String?) {
    isWaiting = false
    isSending = false
    core.record(number, ordinal, from: begin, status: response.status, failure: failure)
    ordinal += 1
    if core.run.pause > .zero {
      let timer = self.timer ?? core.loop.timers.make(self)
      self.timer = timer
      core.loop.timers.schedule(timer, at: core.loop.now + core.run.pause.nanoseconds)
    } else {
      core.loop.runLater(self)
    }
  }

  func checkDeadline() {
    if isWaiting, core.loop.now - begin > core.run.timeout.nanoseconds { drop(ClientError.timedOut.description) }
  }

  private func dropConnection() {
    stream?.close()
    stream = nil
  }

  private func drop(_ failure: String) {
    dropConnection()
    if isWaiting { complete(failure: failure) }
  }

  func streamDidConnect(_ stream: Stream) {}
  func streamDidFinishReading(_ stream: Stream) {}

  func streamDidEnd(_ stream: Stream) {
    if !isWaiting { return dropConnection() }
    reader.feedEnd()
    if reader.isInMessage { readEvents() } else { drop(ClientError.closed.description) }
  }

  func streamDidHangUp(_ stream: Stream) {}
  func streamDidDrain(_ stream: Stream) { send() }
  // The answer may still come.
  func streamDidFailWriting(_ stream: Stream, _ error: StreamError) { isSending = false }
  func streamDidFail(_ stream: Stream, _ error: StreamError) {
    self.stream = nil
    if isWaiting { complete(failure: "\(error)") }
  }
}
