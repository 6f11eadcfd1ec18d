// The status page for people: one document without anything from elsewhere, put together at the start from the files
// beside this one, and the paths that it uses. It holds no figures itself: those come as events.
internal import FoundationEssentials
internal import TokenService

/// Handlers; on the control loop.
struct AdminStatus {
  private let feed: StatusFeed
  private let page: AdminAnswer

  init(_ plane: ControlPlane) {
    feed = StatusFeed(plane)
    page = StatusPage.answer
  }

  /// `/`: the page. It needs no token: what it shows, it asks for with the one that it was given.
  func page(_ request: AdminRequest) -> AdminAnswer { page }

  /// `/api/status`: a snapshot.
  func snapshot(_ request: AdminRequest, _ responder: AdminResponder) {
    feed.snapshot { responder.send(AdminAnswer(status: 200, body: String(decoding: $0, as: UTF8.self) + "\n")) }
  }

  /// `/api/events`: a snapshot a second, until the reader goes away.
  func events(_ request: AdminRequest, _ responder: AdminResponder) {
    guard let events = feed.subscribe() else {
      var answer = AdminAnswer.error(503, "\(StatusFeed.mostReaders) read the events already; ask /api/status")
      answer.fields = [("Retry-After", "10")]
      return responder.send(answer)
    }
    responder.stream(AdminStream(contentType: StatusEvents.contentType, source: events))
  }
}

/// The document and the policy under which a browser shows it.
enum StatusPage {
  /// In this order, as one module.
  private static let scripts = [
    PackageResources.format_js, PackageResources.dom_js, PackageResources.access_js, PackageResources.refresh_js,
    PackageResources.tables_js, PackageResources.rows_js, PackageResources.summary_js, PackageResources.events_js,
    PackageResources.page_js,
  ]

  static let answer: AdminAnswer = {
    let style = text(PackageResources.page_css)
    let script = scripts.map(text).joined(separator: "\n")
    var html = text(PackageResources.page_html)
    html.replace("<style></style>", with: "<style>\(style)</style>")
    html.replace("<script type=\"module\"></script>", with: "<script type=\"module\">\(script)</script>")
    var answer = AdminAnswer(status: 200, body: html)
    answer.contentType = "text/html; charset=utf-8"
    answer.fields = [
      ("Content-Security-Policy", policy(style: style, script: script)),
      ("Cross-Origin-Opener-Policy", "same-origin"), ("Cross-Origin-Resource-Policy", "same-origin"),
      ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"), ("Referrer-Policy", "no-referrer"),
      ("X-Frame-Options", "DENY"),
    ]
    return answer
  }()

  /// Nothing from elsewhere, nothing that was not in the document when it was built, no frame around it.
  private static func policy(style: String, script: String) -> String {
    [
      "default-src 'none'", "script-src '\(hash(script))'", "style-src '\(hash(style))'", "connect-src 'self'",
      "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
      "require-trusted-types-for 'script'", "trusted-types 'none'",
    ].joined(separator: "; ")
  }

  private static func hash(_ text: String) -> String {
    "sha256-" + Data(Digest.sha256(Array(text.utf8))).base64EncodedString()
  }

  private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
