// defparam/smuggler's three lists against a gateway with a token: every probe is answered or the connection closed at once,
// and the origin sees nothing or exactly one request, whose body is what Content-Length says.
import EventLoop
import GatewayTesting
import Testing

@Suite("Smuggler", .serialized, .timeLimit(.minutes(5))) struct SmugglerTests {
  /// How the tool's own bytes above 0x7f come about: it writes characters as UTF-8. Servers see single bytes differently.
  private enum Encoding: CaseIterable { case utf8, single }

  private struct Sending: Sendable {
    var name: String
    var bytes: [UInt8]
    var mark: String
    var body: [UInt8]
  }

  private static let threads = 4

  @Test(arguments: ["default", "doubles", "exhaustive"]) func findsNothing(_ list: String) async throws {
    let (_, count, lines) = try #require(SmugglerMutations.lists.first { $0.name == list })
    // The names that the tool's own list has.
    #expect(lines.count == count)
    let rig = try await RuleRig.start()
    let sendings = Self.sendings(lines)
    let begin = ContinuousClock.now
    let answers = try await Self.answers(sendings, rig.gateway.address)
    let time = ContinuousClock.now - begin
    let (requests, problems) = try await rig.finish()
    var findings = problems
    let byMark = Dictionary(grouping: requests, by: \.row)
    for sending in sendings {
      guard let answer = answers[sending.mark] else { continue }
      let seen = byMark[sending.mark] ?? []
      if let finding = Self.judge(sending, answer, seen) {
        findings.append("\(sending.name): \(finding); \(answer); the origin saw \(seen.map(\.told))")
      }
    }
    let known = Set(sendings.map(\.mark))
    findings += requests.filter { !known.contains($0.row) }.map { "a request of nobody: \($0.told)" }
    for finding in findings.prefix(40) { Issue.record("\(finding)") }
    #expect(findings.isEmpty && answers.count == sendings.count, "\(findings.count) findings, \(answers.count) answers")
    let forwarded = answers.values.count { $0 == .status(200) }
    print(
      "smuggler, \(list): \(lines.count) mutations, \(sendings.count) probes, \(forwarded) forwarded, "
        + "\(findings.count) findings, \(time)")
  }

  private static func sendings(_ lines: [String]) -> [Sending] {
    var sendings: [Sending] = []
    for line in lines {
      for encoding in Encoding.allCases {
        if encoding == .single, line.unicodeScalars.allSatisfy(\.isASCII) { continue }
        for probe in SmugglerProbe.all {
          let number = String(sendings.count)
          let mark = "ROW-" + String(repeating: "0", count: 5 - number.count) + number
          let rest = """
            Host: localhost\r\nX-Row: \(mark)\r\nUser-Agent: Mozilla/5.0\r\n\
            Content-type: application/x-www-form-urlencoded; charset=UTF-8\r\nContent-Length: \(probe.length)\r\n\r\n
            """
          let body = Array(probe.body.replacing(RuleRow.mark, with: mark).utf8)
          let line = "\(line)\r\n"
          let bytes =
            Array("POST /?cb=\(mark) HTTP/1.1\r\n".utf8)
            + (encoding == .utf8 ? Array(line.utf8) : line.latin1) + Array(rest.utf8) + body
          sendings.append(
            Sending(
              name: "\(line.debugDescription) as \(encoding), \(probe.name)", bytes: bytes, mark: mark,
              body: Array(body.prefix(probe.length))))
        }
      }
    }
    return sendings
  }

  private enum Answer: Sendable, Equatable {
    case status(Int)
    /// The connection ends without an answer.
    case closed
    /// What the tool counts as a finding.
    case timedOut
    /// Refused, but the connection stays open.
    case staysOpen(Int)
    case malformed(String)
  }

  /// The answers by the marks.
  private static func answers(_ sendings: [Sending], _ address: SocketAddress) async throws -> [String: Answer] {
    try await withThrowingTaskGroup(of: [String: Answer].self) { group in
      for thread in 0..<threads {
        group.addTask {
          try await OwnThread.run {
            var answers: [String: Answer] = [:]
            for index in stride(from: thread, to: sendings.count, by: threads) {
              answers[sendings[index].mark] = answer(to: sendings[index], address)
            }
            return answers
          }
        }
      }
      return try await group.reduce(into: [:]) { all, some in all.merge(some) { $1 } }
    }
  }

  private static func answer(to sending: Sending, _ address: SocketAddress) -> Answer {
    do throws(ClientError) {
      let client = try RawClient(to: address)
      try client.send(sending.bytes)
      let response = try client.response(within: .seconds(5))
      if response.status == 200 { return .status(200) }
      return client.isClosedByPeer(within: .seconds(5)) ? .status(response.status) : .staysOpen(response.status)
    } catch {
      switch error {
      case .timedOut: return .timedOut
      case .closed: return .closed
      default: return .malformed("\(error)")
      }
    }
  }

  private static func judge(_ sending: Sending, _ answer: Answer, _ seen: [SeenRequest]) -> String? {
    switch answer {
    case .status(200):
      guard seen.count == 1, let request = seen.first, request.isWhole else { return "not one request" }
      if request.target != "/?cb=\(sending.mark)" { return "another target" }
      if request.fields.contains("Transfer-Encoding") { return "Transfer-Encoding was forwarded" }
      return request.body == sending.body ? nil : "another body"
    case .status(400), .status(501), .closed: return seen.isEmpty ? nil : "refused, and forwarded"
    case .status, .timedOut, .staysOpen, .malformed: return "not answered as it must be"
    }
  }
}
