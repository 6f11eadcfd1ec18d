// The messages of MISA's RefreshToken call: reading its two request formats, writing its two reply formats.
internal import TokenKit

enum MisaMessages {
  struct Parameters: Equatable {
    var companyCode: String?
    var refreshToken: String?
  }

  enum Failure {
    case badParameter
    case deadToken
    case unknownCompany
    case alreadyRunning

    var number: Int {
      switch self {
      case .badParameter, .deadToken: 1
      case .unknownCompany: 2
      case .alreadyRunning: 102
      }
    }

    /// The enum's names are not documented; these stand in for them.
    var name: String {
      switch self {
      case .badParameter, .deadToken: "ParameterInvalid"
      case .unknownCompany: "CompanyNotExist"
      case .alreadyRunning: "RequestReject"
      }
    }

    var message: String {
      switch self {
      case .badParameter: "Parameters are null or empty."
      case .deadToken: "RefreshToken is invalid or expired."
      case .unknownCompany: "Company does not exist."
      case .alreadyRunning: "A request of the same kind is being processed."
      }
    }
  }

  static func parseJSON(_ body: [UInt8]) -> Parameters? {
    guard let json = JSONValue.parse(body), json.members != nil else { return nil }
    return Parameters(companyCode: json["CompanyCode"]?.text, refreshToken: json["RefreshToken"]?.text)
  }

  private static let namespace = "http://schemas.datacontract.org/2004/07/MISA.QLNH.BE.BO"

  /// As .NET's DataContractSerializer: the root and its namespace must be right, members come in alphabetical order,
  /// and one that stands after a later one is not seen.
  static func parseXML(_ body: [UInt8]) -> Parameters? {
    guard var text = String(validating: body, as: UTF8.self)?[...] else { return nil }
    if text.hasPrefix("<?xml"), let end = text.firstRange(of: "?>") { text = text[end.upperBound...] }
    text = text.drop { $0.isWhitespace }
    guard text.hasPrefix("<RefreshParam"), let open = text.firstIndex(of: ">"),
      text[..<open].contains("xmlns=\"\(namespace)\""), let close = text.firstRange(of: "</RefreshParam>")
    else { return nil }
    var rest = text[text.index(after: open)..<close.lowerBound]
    var parameters = Parameters()
    if let (value, after) = member("CompanyCode", in: rest) {
      guard let value = unescaped(value) else { return nil }
      parameters.companyCode = value
      rest = after
    }
    if let (value, _) = member("RefreshToken", in: rest) {
      guard let value = unescaped(value) else { return nil }
      parameters.refreshToken = value
    }
    return parameters
  }

  private static func member(_ name: String, in text: Substring) -> (Substring, Substring)? {
    guard let open = text.firstRange(of: "<\(name)>"), let close = text.firstRange(of: "</\(name)>"),
      open.upperBound <= close.lowerBound
    else { return nil }
    return (text[open.upperBound..<close.lowerBound], text[close.upperBound...])
  }

  private static func unescaped(_ text: Substring) -> String? {
    var result = ""
    var rest = text
    while let mark = rest.firstIndex(where: { $0 == "&" || $0 == "<" }) {
      if rest[mark] == "<" { return nil }
      result += rest[..<mark]
      guard let end = rest[mark...].firstIndex(of: ";") else { return nil }
      switch rest[rest.index(after: mark)..<end] {
      case "amp": result += "&"
      case "lt": result += "<"
      case "gt": result += ">"
      case "quot": result += "\""
      case "apos": result += "'"
      default: return nil
      }
      rest = rest[rest.index(after: end)...]
    }
    return result + rest
  }

  // MARK: Replies

  static func successJSON(_ pair: TokenLedger.Pair, expires: String, refreshToken: String) -> String {
    let json: OrderedJSON = [
      "Data": [
        "AppID": "sandbox-app",
        "Access_Token": .string(pair.accessToken),
        "Token_type": "bearer",
        "Expire_Date": .string(expires),
        "Branchs": .array(branches.map { .object($0.map { ($0.name, .string($0.value)) }) }),
        "MainCurrency": "VND",
        "RequestTimeout": 60,
        "RefreshToken": .string(refreshToken),
        "ListDictionarySeperate": "",
        "IsNotExistBankAccountNumber": false,
      ],
      "Success": true, "ErrorMessage": nil, "ErrorType": 0, "Total": 0,
    ]
    return json.text
  }

  static func failureJSON(_ failure: Failure) -> String {
    let json: OrderedJSON = [
      "Data": nil, "Success": false, "ErrorMessage": .string(failure.message), "ErrorType": .int(failure.number),
      "Total": 0,
    ]
    return json.text
  }

  static func successXML(_ pair: TokenLedger.Pair, expires: String, refreshToken: String) -> String {
    var data = element("Access_Token", pair.accessToken) + element("AppID", "sandbox-app") + "<Branchs>"
    for branch in branches {
      let members = branch.sorted { $0.name < $1.name }.map { element($0.name, $0.value) }.joined()
      data += "<BranchResult>\(members)</BranchResult>"
    }
    data += "</Branchs>" + element("Expire_Date", expires) + element("IsNotExistBankAccountNumber", "false")
    data += element("ListDictionarySeperate", "") + element("MainCurrency", "VND")
    data += element("RefreshToken", refreshToken) + element("RequestTimeout", "60") + element("Token_type", "bearer")
    return result("<Data>\(data)</Data><ErrorMessage i:nil=\"true\"/>", errorType: "None", success: true)
  }

  static func failureXML(_ failure: Failure) -> String {
    result(
      "<Data i:nil=\"true\"/>" + element("ErrorMessage", failure.message), errorType: failure.name, success: false)
  }

  private static func result(_ middle: String, errorType: String, success: Bool) -> String {
    let root = "GraphAPIResultOfLoginV2ResultHwd4PmMc"
    return "<\(root) xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns=\"\(namespace)\">"
      + "<ActionType>Login</ActionType>\(middle)" + element("ErrorType", errorType)
      + element("Success", success ? "true" : "false") + element("Total", "0") + "</\(root)>"
  }

  private static func element(_ name: String, _ value: String) -> String {
    var escaped = ""
    for character in value {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      default: escaped.append(character)
      }
    }
    return "<\(name)>\(escaped)</\(name)>"
  }

  private static let branches: [[(name: String, value: String)]] = [
    [
      ("BranchID", "b0519dfe-0bfc-4cc0-a3d1-b88e20ea55ab"), ("BranchCode", "CN01"), ("BranchName", "Sandbox 1"),
      ("Address", "1 Sandbox Street"), ("Tel", "0000000000"), ("Country", "VN"), ("ProvinceOrCity", "Ha Noi"),
      ("District", "Cau Giay"), ("WardOrCommune", "Dich Vong"), ("Street", "Sandbox"), ("TaxCode", "0000000000"),
      ("TimeZoneCode", "SE Asia Standard Time"), ("PostalCode", "100000"),
    ]
  ]
}
