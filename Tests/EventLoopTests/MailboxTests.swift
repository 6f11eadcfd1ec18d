// Messages from other threads to a loop.
import Testing

@testable import EventLoop

@Suite struct MailboxTests {
  @Test("Every message of every thread arrives, each thread's in order")
  func manySenders() throws {
    let threads = 4
    let each = 5000
    let mailbox = try Mailbox<(sender: Int, number: Int)>()
    let test = try TestLoop()
    var next = [Int](repeating: 0, count: threads)
    var isOrdered = true
    let receiver = try mailbox.attach(to: test.loop) { message in
      if next[message.sender] != message.number { isOrdered = false }
      next[message.sender] += 1
    }
    let handles = try (0..<threads).map { sender in
      try LoopThread.start(name: "sender") { for number in 0..<each { mailbox.send((sender, number)) } }
    }
    try test.turn(until: "all messages") { next.allSatisfy { $0 == each } }
    for handle in handles { handle.join() }
    try test.settle()
    #expect(isOrdered)
    #expect(next == [Int](repeating: each, count: threads))
    receiver.detach()
  }

  @Test("Messages that were sent before there was a receiver wait for it")
  func early() throws {
    let mailbox = try Mailbox<Int>()
    mailbox.send(1)
    mailbox.send(2)
    let test = try TestLoop()
    var received: [Int] = []
    let receiver = try mailbox.attach(to: test.loop) { received.append($0) }
    try test.turn(until: "both") { received == [1, 2] }
    receiver.detach()
  }

  @Test("A receiver that detaches while it receives gets nothing more")
  func detachWithin() throws {
    let mailbox = try Mailbox<Int>()
    let test = try TestLoop()
    var received: [Int] = []
    var receiver: Mailbox<Int>.Receiver?
    receiver = try mailbox.attach(to: test.loop) {
      received.append($0)
      receiver?.detach()
    }
    for number in 0..<3 { mailbox.send(number) }
    try test.turn(until: "the first") { !received.isEmpty }
    try test.settle()
    #expect(received == [0])
  }

  @Test("Whoever sends to a mailbox that nobody reads any more keeps the message")
  func closed() throws {
    let mailbox = try Mailbox<Int>()
    let test = try TestLoop()
    let receiver = try mailbox.attach(to: test.loop) { _ in }
    #expect(mailbox.send(1))
    receiver.detach()
    #expect(!mailbox.send(2))
  }

  @Test("A receiver that must not lose a message stays until the last one, whether it is queued or at hand")
  func detachIfEmpty() throws {
    let mailbox = try Mailbox<Int>()
    let test = try TestLoop()
    var received: [Int] = []
    var outcomes: [Bool] = []
    var receiver: Mailbox<Int>.Receiver?
    receiver = try mailbox.attach(to: test.loop) {
      received.append($0)
      // While the first is received the second is at hand; while the second is, a third comes.
      if $0 == 1 { mailbox.send(2) }
      outcomes.append(receiver?.detachIfEmpty() ?? true)
    }
    mailbox.send(0)
    mailbox.send(1)
    #expect(receiver?.detachIfEmpty() == false)
    try test.turn(until: "all") { received.count == 3 }
    #expect(received == [0, 1, 2] && outcomes == [false, false, true])
    #expect(!mailbox.send(3))
  }
}
