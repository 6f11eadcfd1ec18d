// Reads `routes`, and refuses those that take the same requests.
internal import TokenKit

/// Reads routes; names of listeners and credentials become indices.
struct RouteReading {
  var directory: String
  var listeners: [String]
  /// Every credential that the file names, also those with errors.
  var credentials: [String]
  var timeouts: Timeouts
  var limits: Limits

  /// One entry of `routes`.
  struct Reading {
    var path: String
    var route: RouteConfiguration
    /// Whether `match` was read without an error, so that it can be compared with others.
    var matchIsSound: Bool
  }

  private enum Key {
    static let name = SettingsKey.text(
      "name", "Unique; for logs and metrics.", SettingsText("^[!#-~]{1,128}$")
    ).otherwise("made of host and path_prefix")
    static let match = SettingsKey.object(
      "match",
      "The requests that it takes. The best host wins, then the longest prefix; two routes must not take the "
        + "same requests.", matchSettings
    ).otherwise("all requests")
    static let stripPrefix = SettingsKey.flag("strip_prefix", "Whether path_prefix is taken off the path.")
    static let preserveHost = SettingsKey.flag(
      "preserve_host", "Whether the caller's Host goes on instead of the upstream's own.")
    static let upstream = SettingsKey.object("upstream", "Where requests go.", upstreamSettings, presence: .required)
    static let credential = SettingsEntry(
      "credential", .text(SettingsText(length: 1 ... .max)),
      "The name of one of \"credentials\", or null to forward requests without one.", presence: .written)
    static let timeouts = SettingsKey.object(
      "timeouts", "Time-outs of this route.", Timeouts.routeSettings
    ).otherwise("the top level's")
    static let limits = SettingsKey.object(
      "limits", "Limits of this route.", Limits.routeSettings
    ).otherwise("the top level's")

    static let listener = SettingsKey.text("listener", "The name of one of \"listeners\".").otherwise("all")
    static let host = SettingsKey.text("host", "The Host that requests name, without port.", ConfigurationPatterns.host)
      .otherwise("any").examples("api.internal")
    static let pathPrefix = SettingsKey.text(
      "path_prefix", "Whole segments: /a takes /a, /a/ and /a/b, not /ab.", ConfigurationPatterns.pathPrefix
    ).otherwise("all paths").examples("/api/")
    static let methods = SettingsKey.texts(
      "methods", "Methods, in capitals.", ConfigurationPatterns.method, least: 1, unique: true
    ).otherwise("any")

    static let url = SettingsKey.url(
      "url", "The server, with the path that goes before the request's.", ConfigurationPatterns.upstreamURL
    ).examples("https://api.example")
    static let urls = SettingsKey.texts(
      "urls", "Several servers, with the same scheme and path: the one with the fewest requests at hand is taken.",
      ConfigurationPatterns.upstreamURL, least: 1)
    static let tlsServerName = SettingsKey.text(
      "tls_server_name", "The name in the certificate.", ConfigurationPatterns.serverName
    ).otherwise("the URL's host")
    static let caFile = CertificateFile.key("PEM file with the authorities to trust instead of the system's.")
    static let allowPlaintext = SettingsKey.flag(
      "allow_plaintext", "Must be true for http:// to another machine: tokens cross the network unencrypted.")
  }

  /// The keys of a route.
  static let settings = SettingsObject([
    Key.name.entry, Key.match.entry, Key.upstream.entry, Key.credential, Key.stripPrefix.entry,
    Key.preserveHost.entry, Key.timeouts.entry, Key.limits.entry,
  ])

  private static let matchSettings = SettingsObject([
    Key.listener.entry, Key.host.entry, Key.pathPrefix.entry, Key.methods.entry,
  ])

  private static let upstreamSettings = SettingsObject(
    [Key.url.entry, Key.urls.entry, Key.caFile.entry, Key.tlsServerName.entry, Key.allowPlaintext.entry],
    rules: [
      SettingsRule("Either \"url\" or \"urls\" is set.", .exactlyOne(["url", "urls"])),
      SettingsRule(
        "http:// to another machine needs \"allow_plaintext\": true.",
        when: .not(.equals("allow_plaintext", .bool(true))),
        .any([
          .matches("url", SettingsText(SettingsPatterns.sealed)),
          .allMatch("urls", SettingsText(SettingsPatterns.sealed)),
        ])),
      SettingsRule(
        "\"ca_file\" and \"tls_server_name\" are for https://.",
        when: .any([.isSet("ca_file"), .isSet("tls_server_name")]),
        .any([
          .matches("url", SettingsText(SettingsPatterns.https)),
          .allMatch("urls", SettingsText(SettingsPatterns.https)),
        ])),
    ])

  /// Reads one entry. Beside an error the route must not be used.
  func read(_ settings: SettingsReader) -> Reading {
    let before = settings.problems.all.count
    let match = settings.read(Key.match).map(self.match) ?? RouteMatch()
    let matchIsSound = settings.problems.all.count == before
    let name = settings.read(Key.name) ?? (match.host ?? "") + (match.pathPrefix.isEmpty ? "/" : match.pathPrefix)
    if name.isEmpty || name.utf8.count > 128 || !name.utf8.allSatisfy({ (0x21..<0x7f).contains($0) && $0 != 0x22 }) {
      settings.reject("name", "must be 1 to 128 printable characters without spaces and quotes")
    }
    let upstream = self.upstream(settings)
    let credential = self.credential(settings)
    var route = RouteConfiguration(
      name: name, match: match, upstream: upstream ?? UpstreamConfiguration(origins: []), credential: credential)
    route.stripPrefix = settings.read(Key.stripPrefix)
    route.preserveHost = settings.read(Key.preserveHost)
    route.timeouts = Timeouts(settings.read(Key.timeouts), over: timeouts)
    route.limits = Limits(settings.read(Key.limits), over: limits)
    settings.finish(Self.settings)
    return Reading(path: settings.path, route: route, matchIsSound: matchIsSound)
  }

  private func credential(_ settings: SettingsReader) -> Int? {
    guard let value = settings.value(Key.credential.name) else {
      settings.reject(
        "credential", "is missing; write \"credential\": null to forward this route's requests without one")
      return nil
    }
    guard value != .null, let name = settings.string("credential") else { return nil }
    if let index = credentials.firstIndex(of: name) { return index }
    settings.reject("credential", unknown(name, "credential", among: credentials))
    return nil
  }

  private func match(_ settings: SettingsReader) -> RouteMatch {
    var match = RouteMatch()
    if let name = settings.read(Key.listener) {
      match.listener = listeners.firstIndex(of: name)
      if match.listener == nil { settings.reject("listener", unknown(name, "listener", among: listeners)) }
    }
    if let text = settings.read(Key.host) {
      match.host = HostName.normal(text)
      if match.host == nil {
        settings.reject(
          "host", "\"\(text)\" is not a host; write it without scheme, port and path (wildcards don't work)")
      }
    }
    if let text = settings.read(Key.pathPrefix) {
      if let problem = PathPrefix.problem(text, mayBeEncoded: false) {
        settings.reject("path_prefix", "\"\(text)\" \(problem)")
      } else {
        match.pathPrefix = PathPrefix.normal(text)
      }
    }
    if let methods = settings.read(Key.methods) { match.methods = self.methods(methods, settings) }
    settings.finish(Self.matchSettings)
    return match
  }

  private func methods(_ written: [String], _ settings: SettingsReader) -> [String] {
    let usual = ConfigurationPatterns.usualMethods
    if written.isEmpty { settings.reject("methods", "takes no request; leave the key out for all methods") }
    for (index, method) in written.enumerated() {
      let message: String
      if !HeaderText.isToken(method) {
        message = "\"\(method)\" is not a method"
      } else if method == "CONNECT" || method == "TRACE" {
        message = "\(method) is never forwarded"
      } else if !usual.contains(method), usual.contains(method.uppercased()) {
        message = "methods are case-sensitive; write \"\(method.uppercased())\""
      } else if written[..<index].contains(method) {
        message = "\"\(method)\" stands twice"
      } else {
        continue
      }
      settings.problems.add(
        SettingsProblem(path: SettingsPath.element(index, of: settings.path(of: "methods")), message: message))
    }
    return Set(written).sorted()
  }

  private func upstream(_ route: SettingsReader) -> UpstreamConfiguration? {
    guard let settings = route.read(Key.upstream) else {
      if !route.isSet("upstream") { route.reject("upstream", "is missing; write {\"url\": \"https://…\"}") }
      return nil
    }
    defer { settings.finish(Self.upstreamSettings) }
    let allowPlaintext = settings.read(Key.allowPlaintext)
    let serverName = settings.read(Key.tlsServerName)
    let caFile = CertificateFile.read(settings, Key.caFile, directory: directory)
    let urls = self.urls(settings, allowPlaintext: allowPlaintext)
    if let serverName, HostName.normal(serverName) != serverName.lowercased() || serverName.contains(":") {
      settings.reject("tls_server_name", "\"\(serverName)\" is not a host name")
    }
    guard let first = urls.first else { return nil }
    for (key, isSet) in [("tls_server_name", serverName != nil), ("ca_file", caFile != nil)] where isSet && !first.isTLS
    {
      settings.reject(key, "means nothing for an http:// upstream")
    }
    return UpstreamConfiguration(
      origins: urls.map { UpstreamOrigin($0, tlsServerName: serverName?.lowercased()) },
      basePath: PathPrefix.normal(first.pathAndQuery), caFile: caFile)
  }

  private func urls(_ settings: SettingsReader, allowPlaintext: Bool) -> [HTTPURL] {
    let single = settings.read(Key.url)
    let written = settings.read(Key.urls)
    let (hasURL, hasURLs) = (settings.isSet("url"), settings.isSet("urls"))
    if hasURL == hasURLs {
      settings.reject(nil, hasURL ? "has both \"url\" and \"urls\"; write one of them" : "needs \"url\" or \"urls\"")
      return []
    }
    func report(_ path: String, _ message: String) {
      settings.problems.add(SettingsProblem(path: path, message: message))
    }
    var urls: [(path: String, url: HTTPURL)] = single.map { [(settings.path(of: "url"), $0)] } ?? []
    if let written, written.isEmpty { settings.reject("urls", "must not be empty") }
    for (index, text) in (written ?? []).enumerated() {
      let path = SettingsPath.element(index, of: settings.path(of: "urls"))
      switch HTTPURL.parse(text) {
      case .success(let url): urls.append((path, url))
      case .failure(let problem): report(path, "the URL \(problem.message)")
      }
    }
    for (path, url) in urls {
      if url.pathAndQuery.contains("?") {
        report(path, "must not have a query; the caller's goes on")
      } else if let problem = PathPrefix.problem(url.pathAndQuery, mayBeEncoded: true) {
        report(path, "has a path that \(problem)")
      }
      if !url.isTLS, !url.isLoopback, !allowPlaintext {
        report(
          path,
          "http://\(url.authority) would carry tokens over the network unencrypted; use https, or write "
            + "\"allow_plaintext\": true beside it")
      }
      if url.isTLS != urls[0].url.isTLS || url.pathAndQuery != urls[0].url.pathAndQuery {
        report(path, "must have the same scheme and path as the first URL")
      }
    }
    return urls.map(\.url)
  }

  private func unknown(_ name: String, _ kind: String, among names: [String]) -> String {
    let nearest = EditDistance.nearest(to: name, among: names).map { "; did you mean \"\($0)\"?" }
    return "there is no \(kind) \"\(name)\"\(nearest ?? "")"
  }
}
