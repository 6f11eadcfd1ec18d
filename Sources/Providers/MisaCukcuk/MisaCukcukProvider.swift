// MISA QLNH / CUKCUK partner API v2: Authen/v2/RefreshToken, in JSON or XML.
public import TokenKit

/// The `misa-cukcuk` provider.
public struct MisaCukcukProvider: TokenProvider {
  /// `"provider": "misa-cukcuk"`.
  public static let id = "misa-cukcuk"

  let tokenURL: String
  let companyCode: String
  let format: MisaFormat
  let sendsCompanyCode: Bool
  /// Seconds east of UTC of an `Expire_Date` without offset.
  let utcOffset: Int

  private enum Key {
    static let tokenURL = SettingsKey.tokenURL.examples("https://graphapi.cukcuk.com/Authen/v2/RefreshToken")
    static let companyCode = SettingsKey.requiredLine("company_code", "The restaurant's code.").examples("MYSHOP")
    static let format = SettingsKey.choice("format", "How token calls are written.", default: MisaFormat.json)
    static let companyCodeHeader = SettingsKey.flag(
      "company_code_header", "Whether business calls carry the code in the field CompanyCode.", default: true)
    static let utcOffset = SettingsKey.text(
      "utc_offset", "The offset from UTC (±hh:mm or Z) of an Expire_Date that names none.",
      SettingsText("^(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)$"), default: "+07:00")
  }

  /// The keys, and what a code in a header field must be.
  public static let settings = SettingsObject(
    [
      Key.tokenURL.entry, Key.companyCode.entry, Key.format.entry, Key.companyCodeHeader.entry, Key.utcOffset.entry,
    ],
    rules: [
      .seedIsNeeded,
      SettingsRule(
        "\"company_code\" goes into a header field unless \"company_code_header\" is false, and is printable ASCII then.",
        when: .not(.equals("company_code_header", .bool(false))),
        .matches("company_code", SettingsText(SettingsPatterns.fieldText, length: 1...8192))),
    ])

  /// Reads the keys.
  public init(settings: SettingsReader) {
    tokenURL = settings.read(Key.tokenURL)
    companyCode = settings.read(Key.companyCode)
    format = settings.read(Key.format)
    sendsCompanyCode = settings.read(Key.companyCodeHeader)
    if sendsCompanyCode, !companyCode.isEmpty, !TokenRules.isFieldText(companyCode) {
      settings.reject(
        "company_code",
        "goes into a header field, so it must be printable ASCII without spaces around it; "
          + "or set \"company_code_header\": false")
    }
    let offset = settings.read(Key.utcOffset) ?? "+07:00"
    if let seconds = ExpireDate.offset(offset.utf8) {
      utcOffset = seconds
    } else {
      settings.reject("utc_offset", "\"\(offset)\" is not an offset; write for example \"+07:00\", \"-03:30\" or \"Z\"")
      utcOffset = 0
    }
  }

  /// Whether the server kills the old access token at rotation is not verified: false. Business calls carry the
  /// company code in a field of their own unless that is turned off.
  public var traits: ProviderTraits {
    ProviderTraits(
      usesRefreshToken: true, accessTokenIdentity: [Self.id, tokenURL, companyCode],
      refreshTokenIdentity: [Self.id, companyCode],
      requestFields: sendsCompanyCode ? [("CompanyCode", companyCode)] : [], tokenURLs: [tokenURL])
  }

  /// `RefreshParam` in the configured format.
  /// - Throws: `needsLogin` or `misconfigured` when there is no refresh token that could be sent.
  public func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest {
    let body = format.refreshParam(companyCode: companyCode, refreshToken: try context.requiredRefreshToken())
    return GrantRequest(
      url: tokenURL,
      headers: [("Content-Type", Secret(format.mediaType)), ("Accept", Secret(format.mediaType))],
      body: Secret(body), spendsRefreshToken: true)
  }

  /// A 2xx with `Success: true` and a token is good. `Success: false` is a failure under 2xx and 4xx alike, by its
  /// `ErrorType`; without the envelope the status decides. The reply's format is what its first byte says. `Token_type`
  /// is not looked at: its values are not documented, and the credential's `scheme` says how the token travels.
  public func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
    if let failure = GrantError(decidedByStatusOf: response) { throw failure }
    guard let reply = MisaReply.read(response.body), let success = reply.success else {
      throw GrantError(bodySaysNothing: response)
    }
    guard success else {
      guard let errorType = MisaErrorType(reply.errorType) else { throw GrantError(bodySaysNothing: response) }
      let kind = errorType.outcome
      throw GrantError(kind, errorType.code, retryAfter: kind == .transient ? response.retryAfter : nil)
    }
    guard (200..<300).contains(response.status) else { throw GrantError(bodySaysNothing: response) }
    guard case .string(let access) = reply.data?.accessToken, TokenRules.isOpaqueAccessToken(access) else {
      throw .malformedReply
    }
    var successor: Secret?
    switch reply.data?.refreshToken {
    case nil, .string(""): break
    case .string(let text):
      guard TokenRules.isRefreshToken(text) else { throw .malformedReply }
      successor = Secret(text)
    default: throw .malformedReply
    }
    let expiry = reply.data?.expireDate?.text.flatMap { ExpireDate.parse($0.utf8, assumedOffset: utcOffset) }
    return Token(
      accessToken: Secret(access), refreshToken: successor,
      lifetime: ReplyLifetime.date(expiry, clock: response.date ?? context.now))
  }
}
