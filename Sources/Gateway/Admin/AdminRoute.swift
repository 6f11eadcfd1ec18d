// The admin listener's paths: one line each in `AdminServer.makeRoutes`, what they do in files of their own.
internal import HTTPWire

/// A path with a method, and what it does.
struct AdminRoute {
  typealias Handler = (AdminRequest, AdminResponder) -> Void

  let method: Method
  let path: String
  /// Whether it is answered without the token: probes have none.
  let isOpen: Bool
  let handler: Handler
  private let segments: [Substring]

  /// - Parameters:
  ///   - path: segments as `{name}` stand for one of any content, which the request then has among its parameters.
  ///   - handler: sends one answer, now or later, on the control loop; one that comes later has a time limit of its own.
  init(_ method: Method, _ path: String, isOpen: Bool = false, _ handler: @escaping Handler) {
    self.method = method
    self.path = path
    self.isOpen = isOpen
    self.handler = handler
    segments = path.split(separator: "/", omittingEmptySubsequences: false)
  }

  /// For what is known at once.
  init(_ method: Method, _ path: String, isOpen: Bool = false, answer: @escaping (AdminRequest) -> AdminAnswer) {
    self.init(method, path, isOpen: isOpen) { $1.send(answer($0)) }
  }

  /// The parameters in a path; nil: it is another one.
  func match(_ path: String) -> [String: String]? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == segments.count else { return nil }
    var parameters: [String: String] = [:]
    for (part, segment) in zip(parts, segments) {
      if segment.hasPrefix("{") {
        if part.isEmpty { return nil }
        parameters[String(segment.dropFirst().dropLast())] = String(part)
      } else if part != segment {
        return nil
      }
    }
    return parameters
  }
}
