// The `otlp` part of the configuration: where spans of requests and token calls are sent, and how many.
package import TokenKit

/// A collector that takes OTLP over HTTP, and what it gets.
package struct OTLPConfiguration: Sendable, Equatable {
  /// A field of each call.
  package struct Header: Sendable, Equatable {
    package var name: String
    package var value: Secret
  }

  /// With the path that spans are posted to.
  package var url: HTTPURL
  /// Fields of each call besides its own.
  package var headers: [Header] = []
  package var serviceName = "gateway"
  /// Of the traces that begin here, 0...1.
  package var sampleRatio = 1.0
  /// Spans of a call at most.
  package var batch = 512
  /// How long a finished span waits for others.
  package var interval = Duration.seconds(1)
  /// Spans that wait for the collector, in the process.
  package var queue = 8192
  /// Of a call, connecting included.
  package var timeout = Duration.seconds(10)
  /// PEM file with the authorities to trust instead of the system's.
  package var caFile: String?

  /// What the data loops go by.
  var tracing: TracingSettings { TracingSettings(ratio: sampleRatio, interval: interval) }

  package init(url: HTTPURL) { self.url = url }
}

extension OTLPConfiguration {
  private enum Key {
    static let url: SettingsKey<HTTPURL?> = {
      var key = SettingsKey.url(
        "url", "Where spans are posted to; without a path /v1/traces is meant."
      ).examples("http://127.0.0.1:4318/v1/traces")
      key.entry.presence = .required
      return key
    }()
    static let headers = SettingsKey.map(
      "headers", "Fields that go on each call: name, then text or secret.",
      .textOrSecret(SettingsText(SettingsPatterns.fieldText, length: 1...8192)), names: fieldName)
    static let serviceName = SettingsKey.text(
      "service_name", "What traces call this gateway (service.name).",
      SettingsText(SettingsPatterns.line, length: 1...256), default: "gateway")
    static let sampleRatio = SettingsKey.number(
      "sample_ratio",
      "Part of the traces that begin here which is sampled. What a caller's traceparent says of sampling is followed.",
      in: 0...1, default: 1)
    static let batch = SettingsKey.integer("batch", "Spans of a call at most.", in: 1...65_536, default: 512)
    static let interval = SettingsKey.duration(
      "interval", "How long a finished span waits for others at most.", in: .milliseconds(10) ... .seconds(60),
      default: .seconds(1))
    static let queue = SettingsKey.integer(
      "queue", "Spans that wait for the collector, in the process; what comes beyond is dropped.", in: 1...1_000_000,
      default: 8192)
    static let timeout = SettingsKey.duration(
      "timeout", "Time for a call, connecting included.", in: .milliseconds(10) ... .seconds(300),
      default: .seconds(10))
    static let caFile = CertificateFile.key("PEM file with the authorities to trust, instead of the system's.")
    static let allowPlaintext = SettingsKey.flag(
      "allow_plaintext", "Must be true for http:// to another machine: paths and headers cross the network unencrypted."
    )

    private static let fieldName = SettingsText(
      ConfigurationPatterns.fieldName.pattern,
      refused: ConfigurationPatterns.fieldName.refused
        + ["^(?:\(ownFields.map(SettingsPatterns.caseless).joined(separator: "|")))$"], length: 1...256)
  }

  /// Fields that follow from what is sent.
  private static let ownFields = ["content-type", "content-encoding"]

  /// The keys of `otlp`.
  static let settings = SettingsObject(
    [
      Key.url.entry, Key.headers.entry, Key.serviceName.entry, Key.sampleRatio.entry, Key.batch.entry,
      Key.interval.entry, Key.queue.entry, Key.timeout.entry, Key.caFile.entry, Key.allowPlaintext.entry,
    ],
    rules: [
      SettingsRule(
        "http:// to another machine needs \"allow_plaintext\": true.",
        when: .not(.equals("allow_plaintext", .bool(true))),
        .matches("url", SettingsText(SettingsPatterns.sealed)))
    ])

  /// nil without a URL; problems are reported.
  /// - Parameter directory: where relative paths count from.
  static func read(_ settings: SettingsReader, directory: String) -> OTLPConfiguration? {
    let url = settings.read(Key.url)
    if url == nil, !settings.isSet(Key.url.name) {
      settings.reject(Key.url.name, "is missing; write for example \"http://127.0.0.1:4318/v1/traces\"")
    }
    let headers = headers(settings)
    let serviceName = settings.read(Key.serviceName)
    if let serviceName, !isName(serviceName) {
      settings.reject(Key.serviceName.name, "must have 1 to 256 characters, none of them a control character")
    }
    let sampleRatio = settings.read(Key.sampleRatio)
    let (batch, interval, queue) = (settings.read(Key.batch), settings.read(Key.interval), settings.read(Key.queue))
    let timeout = settings.read(Key.timeout)
    let caFile = CertificateFile.read(settings, Key.caFile, directory: directory)
    let allowsPlaintext = settings.read(Key.allowPlaintext)
    settings.finish(Self.settings)
    guard var url else { return nil }
    if !url.isTLS, !url.isLoopback, !allowsPlaintext {
      settings.reject(
        Key.url.name,
        "http://\(url.authority) would carry paths and headers over the network unencrypted; use https, or write "
          + "\"allow_plaintext\": true")
    }
    if url.pathAndQuery == "/" { url.pathAndQuery = "/v1/traces" }
    var read = OTLPConfiguration(url: url)
    read.headers = headers
    read.serviceName = serviceName ?? read.serviceName
    read.sampleRatio = sampleRatio ?? read.sampleRatio
    read.batch = batch ?? read.batch
    read.interval = interval ?? read.interval
    read.queue = queue ?? read.queue
    read.timeout = timeout ?? read.timeout
    read.caFile = caFile
    return read
  }

  private static func headers(_ settings: SettingsReader) -> [Header] {
    guard let object = settings.read(Key.headers) else { return [] }
    var headers: [Header] = []
    var taken: Set<String> = []
    for name in object.keys {
      let value: Secret?
      switch object.value(name) {
      case .string(let text): value = Secret(text)
      case .object: value = object.secret(name)
      case let other:
        value = nil
        object.reject(name, "must be a string or a secret, not \(other?.kind ?? "nothing")")
      }
      if let problem = FieldRules.problem(ofName: name) {
        object.reject(name, "\"\(name)\" \(problem)")
      } else if ownFields.contains(HeaderText.folded(name)) {
        object.reject(name, "\"\(name)\" follows from what is sent and can't be set")
      } else if !taken.insert(HeaderText.folded(name)).inserted {
        object.reject(name, "stands for a field that is set already")
      }
      guard let value else { continue }
      if HeaderText.isValue(value.reveal()) {
        headers.append(Header(name: name, value: value))
      } else {
        object.reject(name, "has characters that a header field can't carry")
      }
    }
    return headers
  }

  /// As `SettingsPatterns.line` has it.
  private static func isName(_ text: String) -> Bool {
    (1...256).contains(text.unicodeScalars.count)
      && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) }
  }
}
