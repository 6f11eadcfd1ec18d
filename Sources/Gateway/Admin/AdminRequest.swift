// A request of the admin listener as handlers see it, the answer to it, and who takes that answer.
internal import HTTPWire

/// A complete request that has passed `AdminAccess`.
struct AdminRequest {
  /// HEAD comes as GET: the connection leaves the body out.
  var method: Method
  /// As sent, without the query.
  var path: String
  /// What stands behind the question mark; empty without one.
  var query = ""
  /// The parts of the path that stand where the route has `{…}`, by that name.
  var parameters: [String: String] = [:]
  /// The whole body, at most `AdminBody.limit` bytes.
  var body: [UInt8] = []
}

/// A whole answer.
struct AdminAnswer {
  var status: UInt16
  var body: String
  var contentType = "application/json"
  /// Further fields. Names and values are our own texts.
  var fields: [(name: String, value: String)] = []

  init(status: UInt16, body: String) {
    self.status = status
    self.body = body
  }

  /// An error in words; they are our own and hold no secret.
  static func error(_ status: UInt16, _ words: String) -> AdminAnswer {
    AdminAnswer(status: status, body: "{\"error\":\(ProblemResponse.quoted(words))}\n")
  }

  /// The whole message.
  func message(closing: Bool, withBody: Bool) -> [UInt8] {
    var text = "HTTP/1.1 \(status) \(ProblemResponse.title(status))\r\nContent-Type: \(contentType)\r\n"
    text += "Content-Length: \(body.utf8.count)\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    for field in fields { text += "\(field.name): \(field.value)\r\n" }
    if closing { text += "Connection: close\r\n" }
    return Array((text + "\r\n" + (withBody ? body : "")).utf8)
  }
}

/// Takes the one answer to a request, whenever it is there; on the control loop. The connection may be gone by then.
final class AdminResponder {
  private weak var connection: AdminConnection?
  private let number: UInt64
  private(set) var isDone = false

  init(_ connection: AdminConnection, request number: UInt64) {
    self.connection = connection
    self.number = number
  }

  /// A handler that lets go of its responder would leave its caller waiting.
  deinit { if !isDone { connection?.answer(.error(500, "no answer was made"), to: number) } }

  /// The same for an answer that is made while it is taken.
  func stream(_ answer: AdminStream) {
    if isDone { return }
    isDone = true
    connection?.answer(answer, to: number)
  }

  /// Only the first answer counts.
  func send(_ answer: AdminAnswer) {
    if isDone { return }
    isDone = true
    connection?.answer(answer, to: number)
  }
}
