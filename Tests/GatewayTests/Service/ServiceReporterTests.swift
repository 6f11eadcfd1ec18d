// What a service manager is told, in what order; and how often it wants to hear of the watchdog.
import EventLoop
import GatewayTesting
import Glibc
import Logging
import Testing

@testable import Gateway

@Suite("Service manager") struct ServiceReporterTests {
  /// The receiving end of NOTIFY_SOCKET.
  private final class Receiver {
    private let fd: Int32

    init(_ path: String) throws {
      fd = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      var address = sockaddr_un()
      address.sun_family = sa_family_t(AF_UNIX)
      unsafe withUnsafeMutableBytes(of: &address.sun_path) { bytes in
        for (index, byte) in path.utf8.enumerated() { unsafe bytes[index] = byte }
      }
      let result = unsafe withUnsafePointer(to: &address) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe bind(fd, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
      }
      try #require(result == 0)
    }

    deinit { Glibc.close(fd) }

    /// The lines of the next message; nil when there is none.
    func next() -> [String]? {
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = unsafe recv(fd, &bytes, bytes.count, Int32(MSG_DONTWAIT))
      return count < 0
        ? nil : String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
    }
  }

  @Test("Ready once nobody is missed, reloading with its time, ready again, stopping and no word after it")
  func messages() throws {
    let directory = try GatewayTesting.TemporaryDirectory()
    let receiver = try Receiver(directory.path("notify"))
    let environment = ["NOTIFY_SOCKET": directory.path("notify")]
    let reporter = try #require(
      ServiceReporter(try EventLoop(), environment: environment, logger: Logger(label: "test"), mailboxes: []))
    reporter.describe = { "Serving\nREADY=0" }

    reporter.starting(within: .seconds(30))
    #expect(receiver.next() == ["STATUS=Starting", "EXTEND_TIMEOUT_USEC=40000000"])
    reporter.ready()
    #expect(receiver.next() == ["READY=1", "STATUS=Serving READY=0"])

    let before = Process.monotonicMicroseconds()
    reporter.reloading()
    let reloading = try #require(receiver.next())
    #expect(reloading.first == "RELOADING=1")
    let time = try #require(reloading.first { $0.hasPrefix("MONOTONIC_USEC=") }.flatMap { Int64($0.dropFirst(15)) })
    #expect((before...Process.monotonicMicroseconds()).contains(time))
    reporter.reloaded(failure: "line 1\nSTOPPING=1")
    #expect(
      receiver.next() == ["READY=1", "STATUS=Configuration refused, the old one is in force: line 1 STOPPING=1"])

    reporter.stopping(within: .seconds(100))
    #expect(receiver.next() == ["STOPPING=1", "STATUS=Draining", "EXTEND_TIMEOUT_USEC=110000000"])
    reporter.reloading()
    reporter.reloaded()
    reporter.changed()
    #expect(receiver.next() == nil)
    reporter.close()
  }

  @Test("Who yields names the process to be looked after, and says no more; that one is ready and alive in one word")
  func replacement() throws {
    let directory = try GatewayTesting.TemporaryDirectory()
    let receiver = try Receiver(directory.path("notify"))
    let environment = ["NOTIFY_SOCKET": directory.path("notify")]
    let make = {
      try #require(
        ServiceReporter(try EventLoop(), environment: environment, logger: Logger(label: "test"), mailboxes: []))
    }
    let (old, new) = (try make(), try make())
    new.describe = { "Serving" }
    old.ready()
    #expect(receiver.next()?.first == "READY=1")
    old.replacementFailed("of a reason\nSTOPPING=1")
    #expect(receiver.next() == ["STATUS=Replacement failed, going on: of a reason STOPPING=1"])
    old.yield(to: 77)
    #expect(receiver.next() == ["MAINPID=77", "WATCHDOG=1", "STATUS=Serving"])
    old.reloading()
    old.reloaded()
    old.replacementFailed("of another")
    old.changed()
    old.close()
    #expect(receiver.next() == nil)
    new.ready(inPlace: true)
    #expect(receiver.next() == ["READY=1", "WATCHDOG=1", "STATUS=Serving"])
    new.close()
  }

  @Test("A data loop that does not answer keeps the gateway from being ready")
  func missing() throws {
    let directory = try GatewayTesting.TemporaryDirectory()
    let receiver = try Receiver(directory.path("notify"))
    let mailbox = try Mailbox<WorkerMessage>()
    let reporter = try #require(
      ServiceReporter(
        try EventLoop(), environment: ["NOTIFY_SOCKET": directory.path("notify")], logger: Logger(label: "test"),
        mailboxes: [mailbox, mailbox]))
    reporter.ready()
    #expect(receiver.next() == nil)
    reporter.turned(ticket: 1)
    // Of another question.
    reporter.turned(ticket: 2)
    #expect(receiver.next() == nil)
    reporter.turned(ticket: 1)
    #expect(receiver.next()?.first == "READY=1")
    reporter.close()
  }

  @Test("Nobody is notified without NOTIFY_SOCKET")
  func nobody() throws {
    let loop = try EventLoop()
    for environment in [[:], ["NOTIFY_SOCKET": ""], ["NOTIFY_SOCKET": "vsock:2:1"], ["WATCHDOG_USEC": "1000000"]] {
      #expect(
        ServiceReporter(loop, environment: environment, logger: Logger(label: "test"), mailboxes: []) == nil)
    }
  }

  @Test("The watchdog's interval is half of its time, in nanoseconds, if it is this process's")
  func interval() {
    let cases: [([String: String], Int64?)] = [
      ([:], nil), (["WATCHDOG_USEC": "30000000"], 15_000_000_000), (["WATCHDOG_USEC": "0"], nil),
      (["WATCHDOG_USEC": "-1"], nil), (["WATCHDOG_USEC": "x"], nil), (["WATCHDOG_USEC": "1"], 10_000_000),
      (["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "7"], 1_000_000_000),
      (["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "8"], nil),
      (["WATCHDOG_USEC": "2000000", "WATCHDOG_PID": ""], 1_000_000_000),
      (["WATCHDOG_USEC": "9223372036854775807"], nil),
    ]
    for (environment, expected) in cases {
      #expect(LoopWatchdog.interval(environment, process: 7) == expected, "\(environment)")
    }
  }
}
