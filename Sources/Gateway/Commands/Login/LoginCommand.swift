// `gateway login NAME`: the authorization code grant with PKCE for a person with a browser, here or elsewhere.
internal import EventLoop
internal import TokenKit
internal import TokenService

package struct LoginOptions: Sendable {
  /// Never listen for the browser.
  package var pastes: Bool
  /// How long the person may take.
  package var timeout: Duration

  package init(pastes: Bool = false, timeout: Duration = .seconds(300)) {
    self.pastes = pastes
    self.timeout = timeout
  }
}

package enum LoginCommand {
  /// Says on standard output what to do, and waits for it.
  package static func run(
    _ configuration: GatewayConfiguration, name: String, _ options: LoginOptions = LoginOptions()
  ) -> CommandResult {
    Process.forbidDumps()
    Process.ignoreBrokenPipes()
    do throws(CommandFailure) {
      let credential = try configuration.credential(named: name)
      let (provider, endpoint) = try login(of: credential)
      let delivery = LoginDelivery(configuration, credential, try AdminClient(configuration))
      // Better known before somebody has logged in than after.
      try delivery.check()
      let command = try CommandLoop()
      defer { command.close() }
      let key = ProofKey()
      let wait = AuthorizationWait(command, endpoint, key, options)
      let (code, redirectURI) = try wait.code()
      let request = provider.codeRequest(code: code, verifier: key.verifier, redirectURI: redirectURI)
      let (token, sent) = try exchange(request, provider, credential, configuration, command)
      return CommandResult(code: 0, output: try delivery.deliver(token, sent: sent))
    } catch {
      return error.result
    }
  }

  private static func login(
    of credential: CredentialConfiguration
  ) throws(CommandFailure) -> (any AuthorizationCodeProvider, AuthorizationEndpoint) {
    guard let provider = credential.provider as? any AuthorizationCodeProvider else {
      throw .refused(
        "\(credential.name) can't log in by browser: \(credential.providerID) has no such page; have a new refresh token "
          + "issued there, put it into the configuration as \"refresh_token\", then gateway reload")
    }
    switch provider.authorization {
    case .success(let endpoint): return (provider, endpoint)
    case .failure(let reason): throw .refused("\(credential.name) \(reason.message)")
    }
  }

  /// Exchanges the code.
  private static func exchange(
    _ request: GrantRequest, _ provider: any AuthorizationCodeProvider, _ credential: CredentialConfiguration,
    _ configuration: GatewayConfiguration, _ command: CommandLoop
  ) throws(CommandFailure) -> (Token, sent: Moment) {
    let sent = command.clock.now
    let options = credential.transportOptions(tokenTimeout: configuration.timeouts.token)
    var result: Result<GrantResponse, GrantTransportFailure>?
    command.transport.send(request, options: options) { result = $0 }
    try command.run(within: configuration.timeouts.token + .seconds(10)) { result != nil }
    let token: Token
    do {
      guard let result else { throw GrantTransportFailure(code: "timeout", mayHaveBeenSent: true) }
      token = try provider.loginToken(from: try result.get())
    } catch let error as GrantError {
      throw .refused("\(credential.name): the token endpoint did not take the code: \(error.code)")
    } catch let failure as GrantTransportFailure {
      throw .refused("\(credential.name): the token endpoint could not be asked: \(failure.code)")
    } catch {
      throw .refused("\(credential.name): the code could not be exchanged")
    }
    guard let refreshToken = token.refreshToken, !refreshToken.isEmpty else {
      throw .refused(
        "\(credential.name): the server gave no refresh token; ask for one in \"scope\" (\"offline\" or "
          + "\"offline_access\" at most servers)")
    }
    return (token, sent)
  }
}
