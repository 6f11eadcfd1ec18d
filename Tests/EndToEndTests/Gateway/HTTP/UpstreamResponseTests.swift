// Well-formed answers of every kind: interim ones, trailers, those without a body, those that end with the connection.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct UpstreamResponseTests {
  private static func head(
    _ method: String = "GET", _ target: String = "/x", version: String = "HTTP/1.1", _ lines: [String] = []
  ) -> String {
    "\(method) \(target) \(version)\r\nHost: localhost\r\n" + lines.map { $0 + "\r\n" }.joined() + "\r\n"
  }

  @Test func interimAnswersArePassedOnAnd100Once() async throws {
    let relay = try await Relay.start { _ in
      .answer(
        Answer(
          body: .text("final"),
          interim: [
            (100, []), (103, [FieldLine("Link", "</a.css>; rel=preload")]), (100, []),
            (103, [FieldLine("Link", "</b.css>"), FieldLine("Connection", "x-hop"), FieldLine("X-Hop", "1")]),
          ]))
    }
    let (plain, _) = try await relay.send(Self.head())
    #expect(plain.bodyText == "final")
    #expect(plain.interim.map(\.status) == [103, 103], "nobody asked for a 100")
    #expect(plain.interim.map { $0.fields["Link"] } == ["</a.css>; rel=preload", "</b.css>"])
    #expect(plain.interim.allSatisfy { !$0.fields.contains("Connection") && !$0.fields.contains("X-Hop") })
    // The origin itself says 100 once more as soon as it sees the expectation.
    let (expecting, _) = try await relay.send(Self.head("POST", ["Expect: 100-continue", "Content-Length: 1"]) + "x")
    #expect(expecting.interim.map(\.status).sorted() == [100, 103, 103])
    let (old, _) = try await relay.send(Self.head(version: "HTTP/1.0"))
    #expect(old.bodyText == "final" && old.interim.isEmpty)
  }

  private static func head(_ method: String, _ lines: [String]) -> String { head(method, "/x", lines) }

  @Test func trailersReachThoseWhoTakeThem() async throws {
    let relay = try await Relay.start { _ in
      .answer(
        Answer(
          fields: [FieldLine("Trailer", "X-Sum")], body: .chunks([Array("one".utf8), Array("two".utf8)]),
          trailers: [
            FieldLine("X-Sum", "42"), FieldLine("Content-Length", "3"), FieldLine("Set-Cookie", "a=b"),
            FieldLine("Transfer-Encoding", "chunked"),
          ]))
    }
    for te in ["TE: trailers", "te: gzip;q=0.5, Trailers"] {
      let (response, _) = try await relay.send(Self.head("GET", [te, "Connection: TE"]))
      #expect(response.bodyText == "onetwo" && response.trailers == [FieldLine("X-Sum", "42")], "\(te)")
      #expect(response.fields["Trailer"] == "X-Sum")
      #expect(!response.fields.contains("X-Sum"), "never merged into the head")
    }
    for lines in [[], ["TE: gzip"], ["TE: trailersx"]] {
      let (response, _) = try await relay.send(Self.head("GET", lines))
      #expect(response.bodyText == "onetwo" && response.trailers.lines.isEmpty, "\(lines)")
    }
    let seen = relay.origin.record.requests
    #expect(seen.map { $0.fields.all("TE") } == [["trailers"], ["trailers"], [], [], []])
  }

  @Test func answersWithoutBodyKeepTheConnection() async throws {
    let relay = try await Relay.start { request in
      switch request.path {
      case "/204": .answer(Answer(204))
      case "/304": .answer(Answer(304, fields: [FieldLine("ETag", "\"a\"")], body: .text("not sent")))
      case "/205": .answer(Answer(205))
      default: .answer(Answer(body: request.path == "/chunked" ? .chunks([Array("twelve".utf8)]) : .text("twelve")))
      }
    }
    let lengths = try await relay.talk { client in
      var results: [String] = []
      for (method, path) in [
        ("HEAD", "/length"), ("HEAD", "/chunked"), ("GET", "/204"), ("GET", "/304"), ("HEAD", "/204"), ("GET", "/205"),
        ("HEAD", "/304"), ("GET", "/length"),
      ] {
        try client.send(Self.head(method, path))
        let response = try client.response(toHead: method == "HEAD")
        results.append(
          "\(method) \(path) \(response.status) \(response.fields["Content-Length"] ?? "-") \(response.bodyText)")
      }
      return results
    }
    #expect(
      lengths == [
        "HEAD /length 200 6 ", "HEAD /chunked 200 - ", "GET /204 204 - ", "GET /304 304 8 ", "HEAD /204 204 - ",
        "GET /205 205 0 ", "HEAD /304 304 8 ", "GET /length 200 6 twelve",
      ])
    #expect(Set(relay.origin.record.requests.map(\.connection)).count == 1)
  }

  @Test func anAnswerThatEndsWithTheConnectionArrivesInTheFramingOfTheCaller() async throws {
    let relay = try await Relay.start { _ in .answer(Answer(body: .untilClose(Array("to the end".utf8)))) }
    let (new, newCloses) = try await relay.send(Self.head())
    #expect(new.bodyText == "to the end" && new.fields.all("Transfer-Encoding") == ["chunked"] && !newCloses)
    let (old, oldCloses) = try await relay.send(Self.head(version: "HTTP/1.0", ["Connection: keep-alive"]))
    #expect(old.bodyText == "to the end" && !old.fields.contains("Transfer-Encoding") && oldCloses)
  }

  private static func head(version: String, _ lines: [String]) -> String { head("GET", "/x", version: version, lines) }

  @Test func hopByHopFieldsOfAnAnswerStayWithTheGateway() async throws {
    let relay = try await Relay.start { _ in
      .answer(
        Answer(
          fields: [
            FieldLine("Connection", "X-Private"), FieldLine("X-Private", "1"), FieldLine("Keep-Alive", "timeout=9"),
            FieldLine("Proxy-Connection", "keep-alive"), FieldLine("Upgrade", "h2c"), FieldLine("X-Public", "1"),
            FieldLine("Set-Cookie", "a=1"), FieldLine("Set-Cookie", "b=2"), FieldLine("Location", "http://elsewhere/"),
            FieldLine("Proxy-Authenticate", "Basic"),
          ], body: .text("x")))
    }
    let (response, _) = try await relay.send(Self.head())
    for name in ["Connection", "X-Private", "Keep-Alive", "Proxy-Connection", "Upgrade", "Proxy-Authenticate"] {
      #expect(!response.fields.contains(name), "\(name)")
    }
    #expect(response.fields["X-Public"] == "1" && response.fields.all("Set-Cookie") == ["a=1", "b=2"])
    #expect(response.fields["Location"] == "http://elsewhere/")
  }

  @Test func aSlowAnswerArrivesPieceByPiece() async throws {
    let relay = try await Relay.start { _ in
      .answer(
        Answer(
          fields: [FieldLine("Content-Type", "text/event-stream")],
          body: .chunks((0..<5).map { Array("data: \($0)\n\n".utf8) }, pause: .milliseconds(300))))
    }
    let times = try await relay.talk { client in
      try client.send(Self.head())
      _ = try client.head()
      var times: [ContinuousClock.Instant] = []
      while case .data = try client.event() { times.append(.now) }
      return times
    }
    #expect(times.count == 5, "each event by itself")
    if let first = times.first, let last = times.last { #expect(last - first > .milliseconds(900), "not gathered") }
  }
}
