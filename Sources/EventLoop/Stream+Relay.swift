// Bytes that go from one socket to another without a look at them: large bodies, through a pipe by splice(2), which moves
// pages in the kernel instead of copying them into this process and out again.
internal import CLinux
internal import Glibc

/// A pipe between two streams. Held by the stream that is read until it has passed everything on, and by the one that is
/// written to while there are bytes in the pipe.
final class StreamRelay {
  /// What one call moves at most; more is more than a reader's share of a turn.
  static let room = EventLoop.scratchSize

  let entrance: Int32
  let exit: Int32
  /// Bytes in the pipe.
  var waiting = 0
  /// Bytes that may still be passed on.
  var left: UInt64 = 0
  /// nil when it can take no more.
  var sink: Stream?
  var hasSource = false
  var hasSink = false

  init() throws(SystemError) {
    var ends: (Int32, Int32) = (-1, -1)
    let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
      unsafe linux_pipe(bytes.bindMemory(to: Int32.self).baseAddress, Int32(Self.room))
    }
    if result != 0 { throw SystemError.last("pipe") }
    (exit, entrance) = ends
  }

  deinit {
    close(entrance)
    close(exit)
  }
}

/// How many relays a loop may have. Confined to it.
package final class RelayLimit {
  /// At most so many at a time, with two descriptors each; other bodies are read and written.
  package var limit = 0
  private var inUse = 0

  func acquire() -> StreamRelay? {
    // Without a descriptor for it the bytes go the other way.
    guard inUse < limit, let relay = try? StreamRelay() else { return nil }
    inUse += 1
    relay.hasSource = true
    return relay
  }

  /// It is over when neither side holds it any more. Its pipe is not kept: it costs less than the body that it was for.
  func release(_ relay: StreamRelay) {
    if relay.hasSource || relay.hasSink { return }
    relay.sink = nil
    inUse -= 1
  }

  /// splice(2) is not to be had here.
  func giveUp() { limit = 0 }
}

extension Stream {
  /// Less than this is cheaper to read and to write.
  package static let worthRelaying: UInt64 = 64 * 1024

  /// The next `count` bytes go to `sink`, behind what was written to it, and `stream(_:didRelay:)` says how many they were.
  /// Where that is not possible, now or later, they are read as ever: the delegate must be able to deal with either. Both
  /// streams are of one loop, and the process ignores SIGPIPE: splice(2) knows no MSG_NOSIGNAL.
  package func relay(to sink: Stream, atMost count: UInt64) {
    if relay != nil || tls != nil || sink.tls != nil || isClosed || sink.isClosed { return }
    guard let relay = loop.relays.acquire() else { return }
    relay.sink = sink
    relay.left = count
    self.relay = relay
  }

  /// From here on everything is read again.
  package func endRelay() {
    guard let relay = relay.take() else { return }
    relay.hasSource = false
    relay.sink = nil
    loop.relays.release(relay)
  }

  /// Passes on what has come.
  /// - Returns: how many bytes; 0 when there are none, or when reading is over for now; nil when they must be read.
  func pass(through relay: StreamRelay, atMost budget: Int) -> Int? {
    guard let sink = relay.sink, !sink.isClosed, !sink.hasWriteFailed, sink.phase == .open else {
      return stopRelaying()
    }
    // The head before the body.
    if sink.hasBacklog { sink.flush() }
    // Its failure may have ended this stream as well.
    if isClosed { return 0 }
    if sink.hasBacklog {
      delegate?.stream(self, didRelay: 0)
      return isPaused || isClosed ? 0 : stopRelaying()
    }
    let count = linux_splice(fd, relay.entrance, min(budget, StreamRelay.room, Int(clamping: relay.left)))
    if count > 0 {
      relay.left -= UInt64(count)
      relay.waiting = count
      relay.hasSink = true
      sink.inflow = relay
      sink.flush()
      if relay.left == 0 { endRelay() }
      if !isClosed { delegate?.stream(self, didRelay: count) }
      return count
    }
    if count == 0 {
      endRelay()
      end(cleanly: !wasReset)
      return 0
    }
    switch errno {
    case EAGAIN: isReadReady = false
    case EINTR: break
    case EINVAL, ENOSYS, EPERM:
      loop.relays.giveUp()
      return stopRelaying()
    // A read says the same.
    default: return stopRelaying()
    }
    return 0
  }

  private func stopRelaying() -> Int? {
    endRelay()
    return nil
  }

  /// Sends what is in the pipe. False when some of it must wait, or can't be sent.
  func drain(_ relay: StreamRelay) -> Bool {
    while relay.waiting > 0 {
      let count = linux_splice(relay.exit, fd, relay.waiting)
      if count > 0 {
        relay.waiting -= count
        sent &+= UInt64(count)
        continue
      }
      switch count == 0 ? EPIPE : errno {
      case EINTR: continue
      case EAGAIN:
        isWriteBlocked = true
        return false
      case let number:
        failWriting(.system(SystemError("send", errno: number)))
        return false
      }
    }
    dropInflow()
    return true
  }

  /// What is still in the pipe is lost.
  func dropInflow() {
    guard let relay = inflow.take() else { return }
    if relay.waiting > 0 { relay.sink = nil }
    relay.hasSink = false
    loop.relays.release(relay)
  }
}
