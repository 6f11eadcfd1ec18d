// An upstream that judges the token before the body, and what it does when it is asked before one.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

/// A scripted origin beside a sandbox that knows the tokens. A body that it takes is answered with its size, its
/// fingerprint and the path.
final class UploadOrigin: Sendable {
  /// What it does with a head.
  enum Answer: Sendable {
    /// Takes the body, and asks for it after that time if that is expected; nil: never asks.
    case take(asking: Duration? = .zero)
    /// Says something at once.
    case early(Reaction)
    /// The same, with `Connection: close`, and reads nothing of the body.
    case earlyAndClose(GatewayTesting.Answer)
  }

  /// One head that came.
  struct Seen: Sendable {
    var path: String
    var expects: Bool
    var authorizations: [String]
    var isGood: Bool
  }

  static let unauthorized = GatewayTesting.Answer.json(["error": "invalid_token"], status: 401)

  private let sandbox = Shared(Mutex<Sandbox?>(nil))
  private let heads = Shared(Mutex<[Seen]>([]))
  let server: ScriptedServer

  /// - Parameter decide: says what to do; the default takes bodies whose token is good.
  init(
    recording: Recording = .requests,
    _ decide: @escaping @Sendable (Seen) -> Answer = {
      $0.isGood ? .take() : .early(.answer(UploadOrigin.unauthorized))
    }
  ) throws {
    let (sandbox, heads) = (sandbox, heads)
    @Sendable func look(_ request: IncomingRequest) -> Seen {
      let values = request.fields.all("Authorization")
      let token = values.first.map { String($0.dropFirst("Bearer ".count)) } ?? ""
      let isGood = values.count == 1 && sandbox.value.withLock { $0 }?.isCurrent(token, .vinid) == true
      return Seen(
        path: request.path, expects: request.fields.elements("Expect").contains("100-continue"),
        authorizations: values, isGood: isGood)
    }
    server = try ScriptedServer(
      recording: recording,
      script: ServerScript(
        onHead: { request in
          let seen = look(request)
          heads.value.withLock { $0.append(seen) }
          switch decide(seen) {
          case .take: return .digest
          case .early(let reaction): return .answerFirst(reaction)
          case .earlyAndClose(let answer): return .answerAndClose(answer)
          }
        },
        onExpectation: { request in
          if case .take(let time) = decide(look(request)) { time } else { .zero }
        },
        onRequest: { .answer(.text("\($0.bodyCount) \($0.fingerprint) \($0.path)")) }))
  }

  var seen: [Seen] { heads.value.withLock { $0 } }

  /// The heads since the one with that number.
  func seen(after count: Int) -> [Seen] { Array(seen.dropFirst(count)) }

  /// A gateway with this origin at `/up/`, for the credential `vinid`, and as `/plain/` for none whose token dies.
  func rig(
    _ options: SandboxOptions = .onFreePorts, workers: Int = 1, timeouts: [String: OrderedJSON] = [:],
    limits: [String: OrderedJSON] = [:]
  ) async throws -> TokenRig {
    try await TokenRig(
      options, base: { .standard($0) }, prepare: { made in sandbox.value.withLock { $0 = made } },
      configure: {
        $0.more["workers"] = .int(workers)
        $0.timeouts = timeouts
        $0.limits = limits
        $0.routes = [
          GatewayConfiguration.route("up", prefix: "/up/", to: server.address, credential: "vinid"),
          GatewayConfiguration.route("plain", prefix: "/plain/", to: server.address, credential: "oauth2"),
        ]
      })
  }

  /// What is said of a body of `count` bytes of the pattern that came whole to that path.
  static func taken(_ count: Int, _ path: String) -> String {
    "\(count) \(BodyDigest.ofPattern(count: count)) \(path)"
  }
}

extension TokenRig {
  /// Sends bytes of the pattern, whatever is answered meanwhile.
  /// - Parameters:
  ///   - piece: how much is sent, and made a chunk, at once.
  ///   - fields: lines, each with its end.
  func upload(
    _ path: String, _ count: Int, isChunked: Bool = false, piece: Int = 64 * 1024, method: String = "POST",
    fields: String = ""
  ) async throws -> (response: ReceivedResponse, took: Duration) {
    let address = gateway.address
    let result = try await OwnThread.run {
      let client = try RawClient(to: address)
      let start = ContinuousClock().now
      let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: \(count)"
      // The answer may come, and the connection end, ahead of the body's end.
      do throws(ClientError) {
        try client.send("\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n\(fields)\(framing)\r\n\r\n")
        var sent = 0
        while sent < count {
          let bytes = BodyPattern.bytes(at: sent, atMost: min(piece, count - sent))
          sent += bytes.count
          try client.send(
            isChunked ? Array("\(String(bytes.count, radix: 16))\r\n".utf8) + bytes + [13, 10] : bytes,
            within: .seconds(30))
        }
        if isChunked { try client.send("0\r\n\r\n") }
      } catch {
        guard case .system = error else { throw error }
      }
      let response = try client.response(within: .seconds(30))
      return (response, ContinuousClock().now - start)
    }
    keep(result.0)
    return result
  }
}
