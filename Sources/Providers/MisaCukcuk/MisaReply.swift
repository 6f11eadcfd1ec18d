// The reply of Authen/v2/RefreshToken, from JSON or XML: the few members that count, as they were written.
import TokenKit

/// `GraphAPIResultOfLoginV2Result`.
struct MisaReply: Decodable {
  /// `LoginV2Result`; absent or null on failure.
  struct Login: Decodable {
    var accessToken: JSONScalar?
    var refreshToken: JSONScalar?
    var expireDate: JSONScalar?

    enum CodingKeys: String, CodingKey {
      case accessToken = "Access_Token"
      case refreshToken = "RefreshToken"
      case expireDate = "Expire_Date"
    }
  }

  /// Whether the call succeeded; nil when the body does not say so, which makes it another document.
  var success: Bool?
  var errorType: JSONScalar?
  var data: Login?

  private enum CodingKeys: String, CodingKey {
    case success = "Success"
    case errorType = "ErrorType"
    case data = "Data"
  }

  /// Decodes JSON. A `Data` of another kind counts as absent: a failure's envelope must stay readable.
  init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    success = Self.boolean(try members.decodeIfPresent(JSONScalar.self, forKey: .success))
    errorType = try members.decodeIfPresent(JSONScalar.self, forKey: .errorType)
    data = try? members.decodeIfPresent(Login.self, forKey: .data)
  }

  private init(_ document: XMLDocument) {
    func member(_ name: String, of element: XMLDocument?) -> JSONScalar? {
      element?.child(name).map { $0.children.isEmpty ? .string($0.text) : .other }
    }
    success = Self.boolean(member("Success", of: document))
    errorType = member("ErrorType", of: document)
    let data = document.child("Data")
    self.data = Login(
      accessToken: member("Access_Token", of: data), refreshToken: member("RefreshToken", of: data),
      expireDate: member("Expire_Date", of: data))
  }

  /// The reply in a body; nil when it is neither.
  static func read(_ body: [UInt8]) -> MisaReply? {
    let text = ReplyBody.trimmed(body)
    switch text.first {
    case UInt8(ascii: "{"): return JSONReply.decode(MisaReply.self, from: text)
    case UInt8(ascii: "<"): return XMLDocument.parse(text).map(MisaReply.init)
    default: return nil
    }
  }

  /// JSON's `true`, XML Schema's `true` and `1`, and .NET's `True`.
  private static func boolean(_ member: JSONScalar?) -> Bool? {
    switch member {
    case .bool(let value): value
    case .string("true"), .string("True"), .string("1"): true
    case .string("false"), .string("False"), .string("0"): false
    default: nil
    }
  }
}
