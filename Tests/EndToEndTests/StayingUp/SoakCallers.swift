// The callers of a soak: each knows what its answer must be, to the byte, and says so when it is another one.
import EventLoop
import GatewayTesting
import Glibc
import TokenKit

/// A kind of caller, on a thread of its own.
struct SoakCaller: Sendable {
  var name: String
  var pause: Duration
  /// Sends something and judges what comes back. Throws when that is wrong.
  /// - Returns: whether the connection can be used again.
  var step: @Sendable (RawClient, _ number: Int, SoakTally) throws -> Bool

  func run(to address: SocketAddress, number caller: Int, _ tally: SoakTally) {
    var client: RawClient?
    var number = 0
    while tally.mayGoOn {
      do {
        let current = try client ?? RawClient(to: address)
        client = try step(current, caller << 32 | number, tally) ? current : nil
      } catch {
        client = nil
        tally.wrong("\(name): \(error)")
      }
      number += 1
      usleep(UInt32(pause.nanoseconds / 1000))
    }
  }

  static let all: [(SoakCaller, count: Int)] = [
    (small, 6), (post, 2), (download, 2), (upload, 2), (reset, 1), (truncated, 1), (aborting, 2), (slow, 2),
    (restarts, 2),
  ]

  /// An echo of this very request, with the current token; while there may be none, an answer that says why.
  private static func isEcho(_ response: ReceivedResponse, of target: String, _ tally: SoakTally) throws -> Bool {
    if response.status == 200 {
      if let problem = TokenRig.isEcho(response) { throw ClientError.check(problem) }
      let echoed = response.json?["target"]?.text
      guard echoed == target else { throw ClientError.check("\(echoed ?? "nothing") for \(target)") }
      tally.count("with a token")
    } else {
      guard tally.maybeNoToken, [401, 502, 503, 504].contains(response.status) else {
        throw ClientError.check("\(response.status) \(response.bodyText.prefix(200)) while there must be a token")
      }
      tally.count("without a token \(response.status)")
    }
    return response.head.keepsAlive
  }

  private static let small = SoakCaller(name: "small", pause: .milliseconds(2)) { client, number, tally in
    try client.send("GET /vinid/echo?\(number) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return try isEcho(client.response(within: .seconds(30)), of: "/echo?\(number)", tally)
  }

  private static let size = 60_000
  private static let pattern = BodyPattern.prefix(size)
  private static let digest = BodyDigest(pattern).description

  private static let post = SoakCaller(name: "POST", pause: .milliseconds(10)) { client, number, tally in
    let isChunked = number % 2 == 0
    let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(size)"
    try client.send("POST /vinid/echo?\(number) HTTP/1.1\r\nHost: localhost\r\n\(framing)\r\n\r\n")
    if isChunked { try client.send("\(String(size, radix: 16))\r\n") }
    try client.send(pattern, within: .seconds(30))
    if isChunked { try client.send("\r\n0\r\n\r\n") }
    let response = try client.response(within: .seconds(30))
    if response.status == 200, response.json?["body"]?["fnv1a64"]?.text != digest {
      throw ClientError.check("the body is not whole")
    }
    return try isEcho(response, of: "/echo?\(number)", tally)
  }

  private static let download = SoakCaller(name: "download", pause: .milliseconds(20)) { client, number, tally in
    let count = [1, size, 3 << 20][number % 3]
    try client.send("GET /origin/big/\(count) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let response = try client.response(keepsBody: count > size, within: .seconds(30))
    let isWhole =
      count > size ? response.body == BodyPattern.prefix(count) : response.fingerprint == .ofPattern(count: count)
    guard response.status == 200, isWhole else {
      throw ClientError.check("\(response.status), \(count) bytes not whole")
    }
    tally.count("downloads")
    return true
  }

  private static let upload = SoakCaller(name: "upload", pause: .milliseconds(20)) { client, number, tally in
    let times = number % 2 == 0 ? 1 : 10
    try client.send("PUT /origin/sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(times * size)\r\n\r\n")
    for _ in 0..<times { try client.send(pattern, within: .seconds(30)) }
    let response = try client.response(within: .seconds(30))
    guard response.status == 200, response.bodyText == "\(times * size)" else {
      throw ClientError.check("\(response.status) \(response.bodyText.prefix(200)) of \(times * size) bytes")
    }
    tally.count("uploads")
    return response.head.keepsAlive
  }

  private static let reset = SoakCaller(name: "reset", pause: .milliseconds(30)) { client, number, tally in
    let method = number % 2 == 0 ? "GET" : "DELETE"
    try client.send("\(method) /origin/reset HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let response = try client.response()
    guard response.status == 502, response.problem?.reason == "connection_terminated" else {
      throw ClientError.check("\(response.status) \(response.bodyText)")
    }
    tally.count("resets of the upstream")
    return response.head.keepsAlive
  }

  /// Half an answer must never look like a whole one.
  private static let truncated = SoakCaller(name: "truncated", pause: .milliseconds(30)) { client, number, tally in
    let framing = ["length", "chunked"][number % 2]
    try client.send("GET /origin/truncated/\(framing) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    do throws(ClientError) {
      let response = try client.response()
      guard response.status == 502 else {
        throw .check("a whole answer \(response.status) of \(response.body.count) bytes")
      }
    } catch {
      switch error {
      case .violation(let violation) where violation.description.hasPrefix("cut off"): break
      case .system: break
      default: throw error
      }
    }
    tally.count("truncated answers")
    return false
  }

  private static let aborting = SoakCaller(name: "aborting", pause: .milliseconds(15)) { client, number, tally in
    let texts = [
      "GET /vinid/ec", "GET /origin/big/3000000 HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "POST /vinid/echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf",
      "GET /vinid/slow/500 HTTP/1.1\r\nHost: localhost\r\n\r\n", "",
      "PUT /origin/sink HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ]
    try client.send(texts[number % texts.count])
    if number % 4 == 1 { usleep(20_000) }
    client.close(resetting: number % 3 == 0)
    tally.count("callers that went away")
    return false
  }

  private static let slow = SoakCaller(name: "slow", pause: .milliseconds(20)) { client, number, tally in
    let count = 600_000
    for byte in "GET /origin/big/\(count) HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8 {
      try client.send([byte])
      usleep(2000)
    }
    _ = try client.head()
    // Its window is full by now, and that of the upstream, too.
    usleep(300_000)
    var got = BodyDigest()
    loop: while let event = try client.event(within: .seconds(20)) {
      switch event {
      case .data(let data): got.add(data)
      case .end: break loop
      case .head: throw ClientError.check("a second head")
      }
    }
    guard got == .ofPattern(count: count) else { throw ClientError.check("\(got.count) bytes, not whole") }
    tally.count("slow callers")
    return true
  }

  /// The server closes now and then, in the middle of what it does.
  private static let restarts = SoakCaller(name: "restarts", pause: .milliseconds(4)) { client, number, tally in
    try client.send("GET /restarts/\(number) HTTP/1.1\r\nHost: localhost\r\n\r\n")
    let response = try client.response()
    if response.status == 200 {
      guard response.bodyText == "/restarts/\(number)" else { throw ClientError.check(response.bodyText) }
      tally.count("answers between restarts")
    } else {
      let reasons = ["connection_refused", "connection_terminated"]
      guard response.status == 502, reasons.contains(response.problem?.reason ?? "") else {
        throw ClientError.check("\(response.status) \(response.bodyText)")
      }
      tally.count("answers during restarts")
    }
    return response.head.keepsAlive
  }
}
