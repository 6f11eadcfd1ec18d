// How another thread reaches a loop: a queue behind a lock and an eventfd that wakes the loop. Never used on the
// request path.
internal import CLinux
internal import Glibc
internal import Synchronization

/// Messages for one loop, in the order in which they were sent.
package final class Mailbox<Message: Sendable>: Sendable {
  private struct Queue: Sendable {
    var messages: [Message] = []
    var isClosed = false
  }

  private let queue = Mutex(Queue())
  fileprivate let fd: Int32

  package init() throws(SystemError) {
    fd = linux_eventfd()
    if fd < 0 { throw SystemError.last("eventfd") }
  }

  deinit { Socket.close(fd) }

  /// From any thread. The loop is woken only when it may be asleep.
  /// - Returns: false when nobody receives any more: what the message owns is still the sender's.
  @discardableResult
  package func send(_ message: Message) -> Bool {
    let count = queue.withLock { queue in
      if queue.isClosed { return 0 }
      queue.messages.append(message)
      return queue.messages.count
    }
    if count == 1 {
      var one: UInt64 = 1
      // An eventfd write of 1 fails only when the counter is full, and then the loop is awake already.
      _ = unsafe write(fd, &one, 8)
    }
    return count > 0
  }

  fileprivate func takeAll() -> [Message] {
    var count: UInt64 = 0
    _ = unsafe read(fd, &count, 8)
    return queue.withLock { queue in
      let taken = queue.messages
      queue.messages.removeAll()
      return taken
    }
  }

  /// Takes no message any more.
  /// - Returns: false when there are messages, and only an empty one was to be closed.
  fileprivate func close(onlyIfEmpty: Bool) -> Bool {
    queue.withLock { queue in
      if onlyIfEmpty, !queue.messages.isEmpty { return false }
      queue.isClosed = true
      queue.messages.removeAll()
      return true
    }
  }

  /// Has `receive` called on the loop for every message from now on. One receiver per mailbox.
  package func attach(to loop: EventLoop, _ receive: @escaping (Message) -> Void) throws(SystemError) -> Receiver {
    let receiver = Receiver(self, loop, receive)
    receiver.registration = try loop.register(fd, .level, receiver)
    return receiver
  }

  /// The loop's end of a mailbox.
  package final class Receiver: EventHandler {
    private let mailbox: Mailbox<Message>
    private let loop: EventLoop
    private let receive: (Message) -> Void
    fileprivate var registration: EventLoop.Registration?
    /// Messages that were taken and not received yet.
    private var waiting = 0

    fileprivate init(_ mailbox: Mailbox<Message>, _ loop: EventLoop, _ receive: @escaping (Message) -> Void) {
      self.mailbox = mailbox
      self.loop = loop
      self.receive = receive
    }

    package func handle(_ events: ReadyEvents) {
      let messages = mailbox.takeAll()
      waiting = messages.count
      for message in messages {
        // It may have been detached by the message before.
        if registration == nil { return }
        waiting -= 1
        receive(message)
      }
    }

    /// Stops receiving, for good; on the loop's thread. What has not been received is dropped.
    package func detach() {
      _ = mailbox.close(onlyIfEmpty: false)
      deregister()
    }

    /// The same, but only if no message is lost by it: those that own something must be received, or be refused.
    /// - Returns: false when there are messages still to be received; ask again after them.
    package func detachIfEmpty() -> Bool {
      guard waiting == 0, mailbox.close(onlyIfEmpty: true) else { return false }
      deregister()
      return true
    }

    private func deregister() {
      if let registration { loop.deregister(registration, isClosing: false) }
      registration = nil
    }
  }
}
