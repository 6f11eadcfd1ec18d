// The request of Authen/v2/RefreshToken, laid out as on the vendor's page.
import TokenKit

/// `format`: what the request is written in, and what the reply is asked for in.
enum MisaFormat: String, CaseIterable, Sendable {
  case json
  case xml

  /// For Content-Type and Accept.
  var mediaType: String {
    switch self {
    case .json: "application/json"
    case .xml: "application/xml"
    }
  }

  /// `RefreshParam`. The XML is read by .NET's DataContractSerializer: the namespace counts, and members that are not
  /// in alphabetical order are silently taken for absent.
  func refreshParam(companyCode: String, refreshToken: String) -> String {
    switch self {
    case .json:
      """
      {
        "CompanyCode": \(JSONReply.quoted(companyCode)),
        "RefreshToken": \(JSONReply.quoted(refreshToken))
      }
      """
    case .xml:
      """
      <RefreshParam xmlns:i="http://www.w3.org/2001/XMLSchema-instance" \
      xmlns="http://schemas.datacontract.org/2004/07/MISA.QLNH.BE.BO">
        <CompanyCode>\(Self.escaped(companyCode))</CompanyCode>
        <RefreshToken>\(Self.escaped(refreshToken))</RefreshToken>
      </RefreshParam>
      """
    }
  }

  /// Text between tags; control characters were refused before.
  private static func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
      switch character {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      default: result.unicodeScalars.append(character)
      }
    }
    return result
  }
}
