// What a scripted server does with a request: how it takes the body, and what it answers.
internal import EventLoop

/// A response.
package struct Answer: Sendable {
  package var status: Int
  /// Without Content-Length, Transfer-Encoding, Connection and Date, which the server adds itself.
  package var fields: FieldList
  package var body: Body
  /// After a chunked body.
  package var trailers: FieldList
  /// 1xx heads ahead of the answer.
  package var interim: [(status: Int, fields: FieldList)]
  /// Waited before the first byte.
  package var delay: Duration
  /// Says `Connection: close` and closes.
  package var closes: Bool
  /// Ends the connection after that many bytes on the wire of the body, in mid-answer.
  package var cut: Cut?

  package struct Cut: Sendable {
    package var afterBytes: Int
    package var isReset: Bool
    package init(afterBytes: Int, isReset: Bool = false) {
      self.afterBytes = afterBytes
      self.isReset = isReset
    }
  }

  package init(
    _ status: Int = 200, fields: FieldList = FieldList(), body: Body = .none, trailers: FieldList = FieldList(),
    interim: [(status: Int, fields: FieldList)] = [], delay: Duration = .zero, closes: Bool = false, cut: Cut? = nil
  ) {
    self.status = status
    self.fields = fields
    self.body = body
    self.trailers = trailers
    self.interim = interim
    self.delay = delay
    self.closes = closes
    self.cut = cut
  }

  /// An answer with a text.
  package static func text(_ text: String, status: Int = 200, type: String = "text/plain; charset=utf-8") -> Answer {
    Answer(status, fields: [FieldLine("Content-Type", type)], body: .text(text))
  }

  /// An answer with a JSON document.
  package static func json(_ json: OrderedJSON, status: Int = 200) -> Answer {
    text(json.text, status: status, type: "application/json")
  }

  /// The same with a field more.
  package func adding(_ name: String, _ value: String) -> Answer {
    var answer = self
    answer.fields.add(name, value)
    return answer
  }
}

/// What follows a request.
package enum Reaction: Sendable {
  case answer(Answer)
  /// Nothing: the connection stays as it is until the peer or the test closes it.
  case hang
  /// Closes without a byte.
  case close
  /// Closes with a reset.
  case reset
  /// These bytes as they are, then the next request is read, or the connection closed.
  case raw([UInt8], closes: Bool)
  /// After that time, what the closure says.
  indirect case after(Duration, @Sendable () -> Reaction)
  /// The handler kept `IncomingRequest.responder` and says it later.
  case later
}

/// How the body of a request is taken.
package enum BodyPlan: Sendable {
  /// Kept whole for the handler.
  case keep
  /// Counted and fingerprinted, not kept.
  case digest
  /// Answered at once; the body is still read, and dropped, and the connection goes on.
  case answerFirst(Reaction)
  /// Answered at once with `Connection: close`; nothing of the body is read, and the connection is closed 1 s later.
  case answerAndClose(Answer)
  /// Not read for that time once so many bytes came, then as `digest`.
  case stall(afterBytes: Int, Duration)
}

/// A complete request.
package struct IncomingRequest: Sendable {
  package var head = MessageHead()
  /// Empty when it was not kept.
  package var body: [UInt8] = []
  package var trailers = FieldList()
  /// Bytes of the body, kept or not.
  package var bodyCount = 0
  /// Which of the server's ports it came to, counted from 0.
  package var port = 0
  /// The connection, counted from 1 over the server's life.
  package var connection = 0
  /// The request's number on its connection, counted from 1.
  package var ordinal = 0
  var digest: BodyDigest?
  /// To answer from elsewhere, with `Reaction.later`.
  package var responder: Responder?

  package init() {}

  package var method: String { head.method }
  package var target: String { head.target }
  package var path: String { head.path }
  package var fields: FieldList { head.fields }
  package var bodyText: String { String(decoding: body, as: UTF8.self) }
  package var fingerprint: BodyDigest { digest ?? BodyDigest(body) }
}

/// Answers one request from any thread.
package struct Responder: Sendable {
  let mailbox: ServerMailbox
  let connection: Int
  let ordinal: Int

  /// The first call counts; nothing happens if the connection has gone.
  package func respond(_ reaction: Reaction) {
    mailbox.send(.respond(connection: connection, ordinal: ordinal, reaction))
  }

  /// Has the server refuse connections on a port, for a time or until `accept`, once the answer to this request left.
  package func refuse(port: Int, for time: Duration?) { mailbox.send(.refuse(port: port, for: time, done: {})) }

  /// Has the server listen on a port again.
  package func accept(port: Int) { mailbox.send(.accept(port: port, done: { _ in })) }
}

enum StatusText {
  static func reason(_ status: Int) -> String {
    switch status {
    case 100: "Continue"
    case 103: "Early Hints"
    case 200: "OK"
    case 201: "Created"
    case 204: "No Content"
    case 206: "Partial Content"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 304: "Not Modified"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 413: "Content Too Large"
    case 429: "Too Many Requests"
    case 500: "Internal Server Error"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    default: "Status \(status)"
    }
  }
}
