// `gateway status`: asks the running gateway, or reads its store if none runs.
internal import EventLoop
internal import TokenKit
internal import TokenService

package enum StatusCommand {
  /// - Parameter file: the configuration's path as it was given, for the commands that the text names.
  package static func run(_ configuration: GatewayConfiguration, file: String, asJSON: Bool) -> CommandResult {
    do throws(CommandFailure) {
      let client = try AdminClient(configuration)
      let (views, isRunning) = try views(configuration, client)
      let remedy = { (view: CredentialView) in Self.remedy(view, configuration, file) }
      let code: Int32 = views.list.contains(where: \.isTroubled) ? 1 : 0
      let text =
        asJSON
        ? StatusText.json(views, isRunning: isRunning, remedy: remedy) : StatusText.table(views, remedy: remedy)
      let note = "gateway: none runs at \(client.address); this is what the store says"
      return CommandResult(code: code, output: text, errors: isRunning ? [] : [note])
    } catch {
      return error.result
    }
  }

  private static func views(
    _ configuration: GatewayConfiguration, _ client: AdminClient
  ) throws(CommandFailure) -> (CredentialViews, isRunning: Bool) {
    do throws(AdminCallFailure) {
      let reply = try client.call("GET", "/api/credentials", within: .seconds(20))
      try client.expectAccess(reply)
      guard reply.status == 200, let views = CredentialViews(json: reply.body) else { throw client.strange }
      return (views, true)
    } catch {
      if case .failed(let message) = error { throw .unasked(message) }
    }
    return (try storedViews(configuration), false)
  }

  private static func storedViews(_ configuration: GatewayConfiguration) throws(CommandFailure) -> CredentialViews {
    let rows: [StoredState]
    do throws(StoreError) {
      switch configuration.store.place {
      case .sqlite(let path): rows = try StoreInspection.sqlite(path: path)
      case .postgres(let url): rows = try StoreInspection.postgres(url)
      }
    } catch {
      throw .unasked("no gateway runs, and its store can't be read: \(error.message)")
    }
    let now = SystemClock().now.wall
    let byName = Dictionary(rows.map { ($0.name, $0) }) { first, _ in first }
    return CredentialViews(
      now: now, list: configuration.credentials.map { CredentialView($0, byName[$0.name], now: now) })
  }

  private static func remedy(
    _ view: CredentialView, _ configuration: GatewayConfiguration, _ file: String
  ) -> String {
    let credential = configuration.credentials.first { $0.name == view.name }
    if credential?.provider is any AuthorizationCodeProvider {
      let option = file == "gateway.json" ? "" : " --config \(shellQuoted(file))"
      return "run gateway login \(view.name)\(option)"
    }
    return "put a new refresh_token into the configuration, then gateway reload"
  }

  static func shellQuoted(_ text: String) -> String {
    let isPlain = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"),
        UInt8(ascii: "/"):
        true
      default: false
      }
    }
    return isPlain ? text : "'" + text.replacing("'", with: #"'\''"#) + "'"
  }
}
