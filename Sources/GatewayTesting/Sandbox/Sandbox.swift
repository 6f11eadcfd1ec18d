// The sandbox: token APIs, upstreams and control on loopback, in one thread. `gateway-sandbox` runs it, and tests run it
// in their own process to look inside.
package import EventLoop
internal import Synchronization
internal import TokenKit

/// Runs from `init` until it is let go.
package final class Sandbox: Sendable {
  /// Where everything listens.
  package struct Addresses: Sendable, Equatable {
    package var token: SocketAddress
    package var vinid: SocketAddress
    package var cukcuk: SocketAddress
    package var oauth2: SocketAddress
    package var control: SocketAddress

    /// One line, for those who started it.
    package var json: String {
      let json: OrderedJSON = [
        "token": .string("\(token)"), "vinid": .string("\(vinid)"), "cukcuk": .string("\(cukcuk)"),
        "oauth2": .string("\(oauth2)"), "control": .string("\(control)"),
      ]
      return json.text
    }

    package init?(json text: String) {
      guard let json = JSONValue.parse(Array(text.utf8)) else { return nil }
      func address(_ name: String) -> SocketAddress? { json[name]?.text.flatMap { SocketAddress(text: $0) } }
      guard let token = address("token"), let vinid = address("vinid"), let cukcuk = address("cukcuk"),
        let oauth2 = address("oauth2"), let control = address("control")
      else { return nil }
      (self.token, self.vinid, self.cukcuk, self.oauth2, self.control) = (token, vinid, cukcuk, oauth2, control)
    }

    init(_ list: [SocketAddress]) {
      (token, vinid, cukcuk, oauth2, control) = (list[0], list[1], list[2], list[3], list[4])
    }
  }

  /// Paths on the token port.
  package static let tokenPaths: [String: SandboxAPI] = [
    "/vinid/oauth2/token": .vinid, "/cukcuk/Authen/v2/RefreshToken": .cukcuk, "/oauth2/token": .oauth2,
  ]

  package let addresses: Addresses
  private let server: ScriptedServer
  private let state: Shared<Mutex<SandboxState>>

  /// - Throws: `SandboxError` when a port is taken or the state file is unusable.
  package init(_ options: SandboxOptions = .onFreePorts) throws(SandboxError) {
    let state = Shared(Mutex(try SandboxState(options, now: Self.now)))
    let ports = [
      options.tokenPort, options.vinidPort, options.cukcukPort, options.oauth2Port, options.controlPort,
    ]
    do throws(SystemError) {
      server = try ScriptedServer(
        name: "sandbox", ports: ports, recording: options.recording,
        script: ServerScript(
          onHead: { Self.plan($0, state) }, onRequest: { Self.react($0, state) }))
    } catch {
      throw SandboxError(description: "a port cannot be used: \(error)")
    }
    self.state = state
    addresses = Addresses(server.addresses)
  }

  private static var now: WallTime { WallTime(milliseconds: Process.wallClockMilliseconds()) }

  private static func upstream(_ port: Int) -> SandboxAPI? {
    switch port {
    case 1: .vinid
    case 2: .cukcuk
    case 3: .oauth2
    default: nil
    }
  }

  // MARK: On the server's loop

  private static func plan(_ request: IncomingRequest, _ state: Shared<Mutex<SandboxState>>) -> BodyPlan {
    guard let api = upstream(request.port) else { return .keep }
    let now = now
    return state.value.withLock { state in
      let ledger = state.apis[api]?.model.ledger
      guard
        let plan = state.upstreams[api]?.plan(request, isCurrent: { ledger?.isCurrent($0, now: now) ?? false })
      else { return .digest }
      // What is answered ahead of its body comes to no handler any more.
      switch plan {
      case .answerFirst, .answerAndClose: state.upstreams[api]?.note(request, isRefused: true)
      case .keep, .digest, .stall: break
      }
      return plan
    }
  }

  private static func react(_ request: IncomingRequest, _ state: Shared<Mutex<SandboxState>>) -> Reaction {
    if let api = upstream(request.port) {
      let now = now
      return state.value.withLock { state in
        let ledger = state.apis[api]?.model.ledger
        let secrets = ledger?.currentTokens(now: now) ?? []
        return state.upstreams[api]?.answer(
          request, isCurrent: { ledger?.isCurrent($0, now: now) ?? false }, secrets: secrets) ?? .close
      }
    }
    if request.path == "/control" || request.path.hasPrefix("/control/") {
      let decision = state.value.withLock { state in
        let decision = SandboxControl.answer(request, &state, now: now)
        state.keep()
        return decision
      }
      guard let responder = request.responder else { return .close }
      switch decision.door {
      case .none: return .answer(decision.answer)
      case .open: responder.accept(port: 0)
      case .close(let time):
        responder.refuse(port: 0, for: time)
        // Closing the port ends this connection too, if it is one of the port's own.
        if request.port == 0 { return .answer(decision.answer) }
      }
      // Once it is answered, it is so.
      responder.respond(.answer(decision.answer))
      return .later
    }
    guard request.port == 0, let api = tokenPaths[request.path] else {
      return .answer(.text("no such path; GET /control tells what there is\n", status: 404))
    }
    return token(request, api, state)
  }

  private static func token(
    _ request: IncomingRequest, _ api: SandboxAPI, _ state: Shared<Mutex<SandboxState>>
  ) -> Reaction {
    let (step, latency) = state.value.withLock { state in
      (state.apis[api]?.receive(request), state.apis[api]?.latencyBefore ?? .zero)
    }
    switch step {
    case nil: return .close
    case .react(let reaction): return reaction
    case .process(let call, let fault):
      let finish: @Sendable () -> Reaction = {
        state.value.withLock { state in
          let reaction = state.apis[api]?.finish(call, fault: fault, now: now)
          state.keep()
          return reaction ?? .close
        }
      }
      return latency > .zero ? .after(latency, finish) : finish()
    }
  }

  // MARK: For tests in the same process

  /// What the server saw, framing violations of the gateway included.
  package var record: ServerRecord { server.record }

  package func counters(_ api: SandboxAPI) -> TokenCounters {
    state.value.withLock { $0.apis[api]?.counters ?? TokenCounters() }
  }

  package func upstreamCounters(_ api: SandboxAPI) -> UpstreamCounters {
    state.value.withLock { $0.upstreams[api]?.counters ?? UpstreamCounters() }
  }

  /// Changes a token API: its rules, latency, faults, ledger.
  package func change(_ api: SandboxAPI, _ body: @Sendable (inout TokenEndpoint) -> Void) {
    state.value.withLock { state in
      if var endpoint = state.apis[api] {
        body(&endpoint)
        state.apis[api] = endpoint
      }
      state.keep()
    }
  }

  /// Every access token of the API dies; its refresh token stays good.
  package func revokeAccessTokens(_ api: SandboxAPI) { change(api) { $0.model.ledger.revokeAccessTokens() } }

  /// The refresh tokens die: `invalid_grant` from now on. Access tokens live on.
  package func killRefreshTokens(_ api: SandboxAPI) {
    change(api) { $0.model.ledger.revokeLogins(includingAccessTokens: false) }
  }

  /// A new login's refresh token.
  package func logIn(_ api: SandboxAPI) -> String {
    let now = Self.now
    return state.value.withLock { state in
      guard let rules = state.apis[api]?.model.rules else { return "" }
      let token = state.apis[api]?.model.ledger.logIn(rules, now: now) ?? ""
      state.keep()
      return token
    }
  }

  /// Whether the API's upstream takes the access token now.
  package func isCurrent(_ accessToken: String, _ api: SandboxAPI) -> Bool {
    let now = Self.now
    return state.value.withLock { $0.isCurrent(accessToken, api, now: now) }
  }

  /// The token port refuses connections until `openTokenPort`.
  package func closeTokenPort() { server.refuse(port: 0) }
  package func openTokenPort() throws(SystemError) { try server.accept(port: 0) }

  /// An upstream refuses connections, or takes them again.
  package func closeUpstreamConnections() { server.closeConnections() }
}
