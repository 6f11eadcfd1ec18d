// How a stream reads: ends, pauses, resets, and the share of one turn.
import Glibc
import Testing

@testable import EventLoop

@Suite struct StreamReadingTests {
  private let test: TestLoop
  private let stream: Stream
  private let peer: RawSocket
  private let recorder = StreamRecorder()

  init() throws {
    test = try TestLoop()
    let (near, far) = try Pairs.tcp()
    peer = far
    stream = try Stream(test.loop, connected: near.take())
    stream.delegate = recorder
  }

  @Test("Data and FIN that come in one edge are both told")
  func dataAndEnd() throws {
    try test.settle()
    peer.send("hello")
    peer.shutdownWriting()
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.text == "hello")
    #expect(recorder.ends == 1)
    #expect(stream.hasEnded)
    #expect(stream.endedCleanly)
    #expect(recorder.error == nil)
    stream.close()
  }

  @Test("FIN after the data was read is told too")
  func endLater() throws {
    peer.send("hello")
    try test.turn(until: "the data") { recorder.text == "hello" }
    #expect(!stream.hasEnded)
    peer.close()
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(stream.endedCleanly)
    stream.close()
  }

  @Test("While paused nothing is delivered; after resume everything, in order")
  func pausing() throws {
    let sent = pattern(3_000_000)
    var offset = 0
    recorder.onRead = { stream, _ in stream.pause() }
    var resumes = 0
    try test.turn(until: "all of it") {
      offset += peer.send(sent[offset...].prefix(200_000))
      if stream.isPaused {
        // A turn in between: what comes meanwhile must wait.
        let before = recorder.reads
        try test.loop.turn(waitingAtMost: 0)
        #expect(recorder.reads == before)
        stream.resume()
        resumes += 1
      }
      return recorder.bytes.count == sent.count
    }
    #expect(recorder.bytes == sent)
    #expect(resumes > 1)
    #expect(!recorder.wasReadWhilePaused)
    stream.close()
  }

  @Test("What came while paused is delivered after resume without a further event")
  func resumeWithoutEvent() throws {
    stream.pause()
    peer.send("waiting")
    try test.settle()
    #expect(recorder.reads == 0)
    stream.resume()
    try test.turn(until: "the data") { recorder.text == "waiting" }
    stream.close()
  }

  @Test("Without a delegate nothing is read; what came is delivered to the one that is set")
  func withoutDelegate() throws {
    stream.delegate = nil
    peer.send("early")
    peer.shutdownWriting()
    try test.settle()
    stream.delegate = recorder
    #expect(recorder.reads == 0)
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.text == "early")
    stream.close()
  }

  @Test("A hang-up while paused is told once, and what was sent before it is still read")
  func hangUp() throws {
    try test.settle()
    stream.pause()
    peer.send("last words")
    peer.shutdownWriting()
    try test.turn(until: "the hang-up") { recorder.hangUps > 0 }
    stream.write("x")
    stream.flush()
    try test.settle()
    #expect(recorder.hangUps == 1)
    #expect(recorder.reads == 0)
    stream.resume()
    try test.turn(until: "the end") { recorder.hasEnded }
    #expect(recorder.text == "last words")
    #expect(recorder.ends == 1)
    stream.close()
  }

  @Test("A hang-up that comes with the data that makes the delegate pause is told")
  func hangUpWithData() throws {
    try test.settle()
    recorder.onRead = { stream, _ in stream.pause() }
    peer.send("request")
    peer.shutdownWriting()
    try test.turn(until: "the hang-up") { recorder.hangUps == 1 }
    #expect(recorder.text == "request")
    #expect(recorder.ends == 0)
    stream.close()
  }

  @Test("A reset fails the stream")
  func reset() throws {
    try test.settle()
    peer.close(resetting: true)
    try test.turn(until: "the failure") { recorder.error != nil }
    #expect(recorder.error == .system(SystemError("recv", errno: ECONNRESET)))
    #expect(stream.isClosed)
    #expect(recorder.ends == 0)
  }

  @Test("Closing from within a read tells nothing more")
  func closeWithin() throws {
    recorder.onRead = { stream, _ in stream.close() }
    peer.send("hello")
    peer.shutdownWriting()
    try test.turn(until: "the read") { recorder.reads == 1 }
    try test.settle()
    #expect(recorder.ends == 0)
    #expect(recorder.error == nil)
  }

  @Test("A stream that is closed lets its delegate go")
  func letsGo() throws {
    weak var delegate: StreamRecorder?
    do {
      let other = StreamRecorder()
      delegate = other
      stream.delegate = other
    }
    #expect(delegate != nil)
    stream.close()
    #expect(delegate == nil)
  }
}

@Suite struct FairnessTests {
  @Test("One fast sender gets 256 KiB a turn, and others are served in between")
  func budget() throws {
    let test = try TestLoop()
    let (near, far) = try Pairs.unix()
    try far.setBuffer(SO_SNDBUF, 4 << 20)
    let (quietNear, quietFar) = try Pairs.tcp()
    let fast = try Stream(test.loop, connected: near.take())
    let quiet = try Stream(test.loop, connected: quietNear.take())
    let fastRecorder = StreamRecorder()
    let quietRecorder = StreamRecorder()
    fast.delegate = fastRecorder
    quiet.delegate = quietRecorder
    try test.settle()

    let block = [UInt8](repeating: 7, count: 64 * 1024)
    var queued = 0
    while true {
      let sent = far.send(block)
      if sent == 0 { break }
      queued += sent
    }
    try #require(queued > EventLoop.scratchSize, "the kernel takes too little to show anything")
    quietFar.send("me too")
    try test.loop.turn(waitingAtMost: 1000)
    // One share in the events of the turn, one from the run list behind them.
    #expect(fastRecorder.bytes.count <= 2 * EventLoop.scratchSize)
    #expect(quietRecorder.text == "me too")
    try test.turn(until: "the rest, without a further event") { fastRecorder.bytes.count == queued }
    fast.close()
    quiet.close()
  }

  @Test("Events count before timers of the same turn: what came in time is in time")
  func eventsFirst() throws {
    final class Deadline: TimerHandler {
      var fired = 0
      func timerFired(_ timer: TimerWheel.Timer) { fired += 1 }
    }
    let test = try TestLoop()
    let (near, far) = try Pairs.tcp()
    let stream = try Stream(test.loop, connected: near.take())
    let recorder = StreamRecorder()
    stream.delegate = recorder
    let deadline = Deadline()
    let timer = test.loop.timers.make(deadline)
    recorder.onRead = { [loop = test.loop] _, _ in loop.timers.disarm(timer) }
    try test.settle()
    test.loop.timers.schedule(timer, at: test.loop.now + 1_000_000)
    far.send("x")
    // The thread is held up until both are due.
    usleep(30_000)
    try test.turn(until: "the data") { recorder.reads == 1 }
    try test.settle()
    #expect(deadline.fired == 0)
    test.loop.timers.release(timer)
    stream.close()
  }
}
