// Parcel, the example of docs/adding-a-provider.md, with samples of what its token endpoint says.
import GatewayTesting
import ParcelProvider
import TokenKit

extension Subjects {
  static let parcel = ProviderUnderTest(
    ParcelProvider.self, name: "parcel",
    settings: """
      {"token_url": "https://api.parcel.example/token", "shop": "1042", "api_key": {"value": "s3cr3t-of-shop"}}
      """,
    secrets: ["s3cr3t-of-shop"],
    goodReply: { reply in
      let renewal = reply.refreshToken.map { ",\"renewal\":\(JSONReply.quoted($0))" } ?? ""
      let filler = reply.filler.map { ",\"greeting\":\"\($0)\"" } ?? ""
      return "{\"session\":{\"token\":\(JSONReply.quoted(reply.accessToken)),\"seconds\":1800\(renewal)\(filler)}}"
    },
    refusal: { "{\"fault\":\(JSONReply.quoted($0))}" },
    refusals: [
      .init(400, #"{"fault":"busy"}"#, .transient, "busy"),
      .init(400, #"{"fault":"renewal_used"}"#, .needsLogin, "renewal_used"),
      .init(200, #"{"fault":"renewal_expired","session":{"token":"tok"}}"#, .needsLogin, "renewal_expired"),
      .init(403, #"{"fault":"wrong_key"}"#, .misconfigured, "wrong_key"),
      .init(404, #"{"fault":"no_such_shop"}"#, .misconfigured, "no_such_shop"),
      // What nobody knows is not shown.
      .init(400, #"{"fault":"made_up"}"#, .misconfigured, "http_400"),
      .init(400, #"{"fault":7}"#, .misconfigured, "http_400"),
    ],
    malformed: [
      #"{"session":{"token":7}}"#, #"{"session":{"seconds":60}}"#, #"{"session":"tok"}"#, #"{"fault":null}"#,
      #"{"session":{"token":"tok","renewal":7}}"#, #"{"session":{"token":"a b"}}"#,
    ],
    oddLifetimes: ["0", "-1", "1e300", "null", "\"never\"", "[]"].map {
      #"{"session":{"token":"tok","seconds":\#($0)}}"#
    })
}
