// Sends a person to the authorization server and waits for the answer: on loopback, or pasted.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// For one login. Blocks.
final class AuthorizationWait {
  private static let thanks = "Thank you. You can close this page; the terminal says how it went."
  private static let foreign = "This is not the answer to the login that the gateway waits for."

  private let command: CommandLoop
  private var endpoint: AuthorizationEndpoint
  private let key: ProofKey
  private let options: LoginOptions
  private let state = ProofKey.random(bytes: 32)
  private var outcome: Result<AuthorizationAnswer, AuthorizationAnswer.Problem>?
  private var hasToldOfForeign = false

  init(_ command: CommandLoop, _ endpoint: AuthorizationEndpoint, _ key: ProofKey, _ options: LoginOptions) {
    self.command = command
    self.endpoint = endpoint
    self.key = key
    self.options = options
  }

  /// The code, and the redirect URI that it was given for.
  func code() throws(CommandFailure) -> (code: Secret, redirectURI: String) {
    switch try receive() {
    case .success(.code(let code)): return (code, endpoint.redirectURI)
    case .success(.refused(let words)): throw .refused("the server refused the login: \(words)")
    case .failure(let problem): throw .refused("the login failed: \(problem.message)")
    }
  }

  private func receive() throws(CommandFailure) -> Result<AuthorizationAnswer, AuthorizationAnswer.Problem> {
    if !options.pastes, let redirect = LoopbackRedirect(endpoint.redirectURI), let listener = listener(for: redirect) {
      endpoint.redirectURI = redirect.uri(configured: endpoint.redirectURI, port: listener.port)
      return try listen(listener)
    }
    return try readPasted()
  }

  /// nil: nobody can listen there; the person has been told.
  private func listener(for redirect: LoopbackRedirect) -> LoopbackListener? {
    do throws(SystemError) {
      return try LoopbackListener(command.loop, redirect) { [unowned self] in judge($0) }
    } catch {
      let place = redirect.addresses.first.map { "\($0)" } ?? redirect.host
      StandardError.write(line: "gateway: nobody can listen on \(place) (\(error)): paste the answer instead")
      return nil
    }
  }

  // MARK: On loopback

  private func listen(
    _ listener: LoopbackListener
  ) throws(CommandFailure) -> Result<AuthorizationAnswer, AuthorizationAnswer.Problem> {
    defer { listener.close() }
    invite()
    Console.say("Waiting at \(endpoint.redirectURI) for the answer (--paste: paste it, if the browser is elsewhere).")
    try command.run(within: options.timeout) { outcome != nil }
    guard let outcome else { throw timedOut }
    return outcome
  }

  private func judge(_ query: String) -> LoopbackListener.Verdict {
    if outcome != nil { return .taken(Self.thanks) }
    do throws(AuthorizationAnswer.Problem) {
      let answer = try AuthorizationAnswer(query: query, state: state, endpoint: endpoint)
      outcome = .success(answer)
      if case .refused(let words) = answer { return .taken("The server refused the login: \(words)") }
      return .taken(Self.thanks)
    } catch {
      if case .otherIssuer = error {
        outcome = .failure(error)
      } else if !hasToldOfForeign {
        // Any page can send a browser here: the right answer may still come.
        hasToldOfForeign = true
        StandardError.write(line: "gateway: something else than the answer to this login came, and was ignored")
      }
      return .ignored(Self.foreign)
    }
  }

  // MARK: Pasted

  private func readPasted() throws(CommandFailure) -> Result<AuthorizationAnswer, AuthorizationAnswer.Problem> {
    invite()
    Console.say("Then paste the address of the page that you end on (it may show an error), or the code alone:")
    var lines = Console.Lines()
    let deadline = Process.bootClockNanoseconds() + options.timeout.nanoseconds
    while true {
      let line: String
      do throws(Console.NoLine) {
        line = try lines.next(until: deadline)
      } catch {
        switch error {
        case .timedOut: throw timedOut
        case .ended: throw .refused("the login failed: nothing was pasted")
        }
      }
      do throws(AuthorizationAnswer.Problem) {
        return .success(try AuthorizationAnswer(pasted: line, state: state, endpoint: endpoint))
      } catch {
        if error != .noAnswer { return .failure(error) }
        Console.say("Neither a code nor an error is in that. Once more:")
      }
    }
  }

  private func invite() {
    let url = endpoint.url(state: state, challenge: key.challenge)
    Console.say("Open this address in a browser and log in:\n\n  \(url)\n")
  }

  private var timedOut: CommandFailure {
    .refused("the login failed: no answer came within \(StatusText.span(options.timeout))")
  }
}
