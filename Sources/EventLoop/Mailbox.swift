// How another thread reaches a loop: a queue behind a lock and an eventfd that wakes the loop. Never used on the
// request path.
internal import CLinux
internal import Glibc
internal import Synchronization

/// Messages for one loop, in the order in which they were sent.
package final class Mailbox<Message: Sendable>: Sendable {
  private let queue = Mutex<[Message]>([])
  fileprivate let fd: Int32

  package init() throws(SystemError) {
    fd = linux_eventfd()
    if fd < 0 { throw SystemError.last("eventfd") }
  }

  deinit { close(fd) }

  /// From any thread. The loop is woken only when it may be asleep.
  package func send(_ message: Message) {
    let wasEmpty = queue.withLock { messages in
      messages.append(message)
      return messages.count == 1
    }
    if !wasEmpty { return }
    var one: UInt64 = 1
    // An eventfd write of 1 fails only when the counter is full, and then the loop is awake already.
    _ = unsafe write(fd, &one, 8)
  }

  fileprivate func takeAll() -> [Message] {
    var count: UInt64 = 0
    _ = unsafe read(fd, &count, 8)
    return queue.withLock { messages in
      let taken = messages
      messages.removeAll()
      return taken
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

    fileprivate init(_ mailbox: Mailbox<Message>, _ loop: EventLoop, _ receive: @escaping (Message) -> Void) {
      self.mailbox = mailbox
      self.loop = loop
      self.receive = receive
    }

    package func handle(_ events: ReadyEvents) {
      for message in mailbox.takeAll() {
        // It may have been detached by the message before.
        if registration == nil { return }
        receive(message)
      }
    }

    /// Stops receiving; on the loop's thread.
    package func detach() {
      if let registration { loop.deregister(registration, isClosing: false) }
      registration = nil
    }
  }
}
