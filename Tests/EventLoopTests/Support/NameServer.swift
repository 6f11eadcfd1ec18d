// A DNS server on loopback that answers from a table, on the test's own loop (RFC 1035, section 4).
import Glibc

@testable import EventLoop

/// Answers A and AAAA questions; names that it does not know do not exist.
final class NameServer: EventHandler {
  struct Question: Hashable {
    enum Kind: UInt16 {
      case a = 1
      case aaaa = 28
    }
    var name: String
    var kind: Kind
  }

  enum Answer {
    case addresses([String], ttl: UInt32)
    case alias(String, ttl: UInt32, [String], addressTTL: UInt32)
    case code(UInt8)
    case silence

    static let none = Answer.code(0)
    static let serverFailure = Answer.code(2)
    static let noSuchName = Answer.code(3)
    static let refused = Answer.code(5)
  }

  let address: SocketAddress
  private let loop: EventLoop
  private let fd: Int32
  private var registration: EventLoop.Registration?
  private var answers: [Question: Answer] = [:]
  /// What was asked, in order; a repeated question counts again.
  private(set) var questions: [Question] = []

  init(_ loop: EventLoop) throws {
    self.loop = loop
    let kind = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let fd = socket(AF_INET, kind, 0)
    self.fd = fd
    guard fd >= 0, unsafe loopback.withSockaddr({ unsafe bind(fd, $0, $1) }) == 0 else {
      throw SystemError("bind", errno: errno)
    }
    address = try Socket.localAddress(fd)
    registration = try loop.register(fd, .level, self)
  }

  func stop() {
    if let registration { loop.deregister(registration) }
    registration = nil
    Socket.close(fd)
  }

  func set(_ name: String, a: Answer, aaaa: Answer = .none) {
    answers[Question(name: name, kind: .a)] = a
    answers[Question(name: name, kind: .aaaa)] = aaaa
  }

  func forgetQuestions() { questions = [] }

  func handle(_ events: ReadyEvents) {
    while true {
      var buffer = [UInt8](repeating: 0, count: 2048)
      var peer = sockaddr_in()
      var length = socklen_t(MemoryLayout<sockaddr_in>.size)
      let reply: [UInt8]? = unsafe withUnsafeMutablePointer(to: &peer) { pointer in
        unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { peer in
          let count = unsafe recvfrom(fd, &buffer, buffer.count, 0, peer, &length)
          if count <= 0 { return nil }
          let reply = self.reply(Array(buffer.prefix(count))) ?? []
          if !reply.isEmpty { unsafe sendto(fd, reply, reply.count, 0, peer, length) }
          return reply
        }
      }
      if reply == nil { return }
    }
  }

  /// nil for what is no question of ours, and for silence.
  private func reply(_ message: [UInt8]) -> [UInt8]? {
    guard message.count > 16 else { return nil }
    var labels: [String] = []
    var position = 12
    while position < message.count, message[position] != 0 {
      let end = position + 1 + Int(message[position])
      guard end < message.count else { return nil }
      labels.append(String(decoding: message[(position + 1)..<end], as: UTF8.self))
      position = end
    }
    guard position + 5 <= message.count, let kind = Question.Kind(rawValue: UInt16(message[position + 2])) else {
      return nil
    }
    let question = Question(name: labels.joined(separator: ".").lowercased(), kind: kind)
    questions.append(question)
    var records: [[UInt8]] = []
    var code: UInt8 = 0
    switch answers[question] ?? .noSuchName {
    case .silence: return nil
    case .code(let number): code = number
    case .addresses(let list, let ttl):
      for text in list { records.append(Self.record([0xc0, 12], kind.rawValue, ttl, Self.bytes(text))) }
    case .alias(let name, let ttl, let list, let addressTTL):
      let target = Self.encoded(name)
      records.append(Self.record([0xc0, 12], 5, ttl, target))
      for text in list { records.append(Self.record(target, kind.rawValue, addressTTL, Self.bytes(text))) }
    }
    let header: [UInt8] = [message[0], message[1], 0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
    return header + message[12..<(position + 5)] + records.joined()
  }

  private static func record(_ name: [UInt8], _ kind: UInt16, _ ttl: UInt32, _ data: [UInt8]) -> [UInt8] {
    name + [UInt8(kind >> 8), UInt8(kind & 255), 0, 1]
      + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: ttl >> $0) }
      + [UInt8(data.count >> 8), UInt8(data.count & 255)] + data
  }

  private static func encoded(_ name: String) -> [UInt8] {
    name.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
  }

  private static func bytes(_ text: String) -> [UInt8] {
    switch SocketAddress(numeric: text, port: 0) {
    case .ipv4(let address, _): [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: address >> $0) }
    case .ipv6(let high, let low, _, _):
      [high, low].flatMap { half in stride(from: 56, through: 0, by: -8).map { UInt8(truncatingIfNeeded: half >> $0) } }
    default: []
    }
  }
}
