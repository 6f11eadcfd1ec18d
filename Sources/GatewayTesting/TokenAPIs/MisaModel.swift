// MISA QLNH / CUKCUK `POST Authen/v2/RefreshToken` as the sandbox plays it, in JSON and in XML.
package import TokenKit

/// Replies have the members of the vendor's page in its order. The error numbers of this call are not documented: they
/// are those of the business calls (2 unknown company, 102 a call of the same kind is running), and 1 for a dead token.
package struct MisaModel: TokenModel {
  package var rules: IssuingRules
  package var ledger = TokenLedger(prefix: "cukcuk")
  package var companyCode: String
  /// JSON replies say `text/html`, as the page lists it.
  package var repliesAsHTML = false

  package init(
    companyCode: String = "SANDBOX",
    rules: IssuingRules = IssuingRules(killsOldToken: false, revokesFamilyOnReuse: false)
  ) {
    self.companyCode = companyCode
    self.rules = rules
  }

  package mutating func receive(_ request: IncomingRequest) -> TokenCall {
    let type = (request.fields["Content-Type"] ?? "").lowercased()
    let accept = (request.fields["Accept"] ?? "").lowercased()
    let isXML = accept.contains("xml") && !accept.contains("json") || accept.isEmpty && type.contains("xml")
    func refuse(_ error: MisaMessages.Failure) -> TokenCall {
      TokenCall(kind: .refused(failure(error, isXML: isXML)), isXML: isXML)
    }
    if request.method != "POST" {
      let answer = Answer.json(["Message": "The requested resource does not support this http method."], status: 405)
      return TokenCall(kind: .refused(TokenResult(answer, "method_not_allowed")), isXML: isXML)
    }
    let parameters: MisaMessages.Parameters?
    if type.contains("xml") {
      parameters = MisaMessages.parseXML(request.body)
    } else if type.contains("json") || type.contains("text/html") {
      parameters = MisaMessages.parseJSON(request.body)
    } else {
      let answer = Answer.json(
        ["Message": "The request entity's media type is not supported for this resource."], status: 415)
      return TokenCall(kind: .refused(TokenResult(answer, "unsupported_media_type")), isXML: isXML)
    }
    guard let parameters, let token = parameters.refreshToken, !token.isEmpty else { return refuse(.badParameter) }
    guard parameters.companyCode == companyCode else { return refuse(.unknownCompany) }
    return TokenCall(kind: .refresh(ledger.begin(token)), isXML: isXML)
  }

  package mutating func finish(_ call: TokenCall, now: WallTime) -> TokenResult {
    switch call.kind {
    case .refused(let result): return result
    case .clientCredentials: return failure(.badParameter, isXML: call.isXML)
    case .refresh(let attempt):
      switch ledger.finish(attempt, rules, now: now) {
      case .granted(let pair):
        let expires = CivilTime.dotNet(pair.expires, offsetMinutes: 7 * 60)
        let text =
          call.isXML
          ? MisaMessages.successXML(pair, expires: expires, refreshToken: pair.refreshToken ?? attempt.refreshToken)
          : MisaMessages.successJSON(pair, expires: expires, refreshToken: pair.refreshToken ?? attempt.refreshToken)
        return TokenResult(reply(text, isXML: call.isXML), "granted")
      case .lostRace: return failure(.alreadyRunning, isXML: call.isXML)
      case .unknown, .expired, .revoked, .reused: return failure(.deadToken, isXML: call.isXML)
      }
    }
  }

  private func failure(_ failure: MisaMessages.Failure, isXML: Bool) -> TokenResult {
    TokenResult(
      reply(isXML ? MisaMessages.failureXML(failure) : MisaMessages.failureJSON(failure), isXML: isXML),
      "error_type_\(failure.number)")
  }

  private func reply(_ text: String, isXML: Bool) -> Answer {
    let type =
      isXML ? "application/xml; charset=utf-8" : repliesAsHTML ? "text/html" : "application/json; charset=utf-8"
    return .text(text, type: type)
  }
}
