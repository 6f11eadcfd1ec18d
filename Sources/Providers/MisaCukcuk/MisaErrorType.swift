// GraphAPIErrorType: why a call failed, and what follows from it.
import TokenKit

/// The reason of a failed call: a number in JSON (as a string, too), an enumeration's name in XML.
enum MisaErrorType: Equatable {
  case number(Int)
  /// A name that is not documented: all but `None` are not.
  case unknownName

  /// Reads the member; nil when it is of a kind that no error type is. An absent one is 0, the enumeration's default.
  init?(_ member: JSONScalar?) {
    switch member {
    case nil, .string(""), .string("None"): self = .number(0)
    case .number(let value):
      guard let number = Int(exactly: value) else { return nil }
      self = .number(number)
    case .string(let text): self = Int(text).map { .number($0) } ?? .unknownName
    case .bool, .other: return nil
    }
  }

  /// The documented numbers are those of business calls; which ones the refresh itself gives is not verified. So the
  /// ones whose meaning leaves no doubt count as what they say (100 internal, 102 already running: transient; 2 company,
  /// 3 AppID, 4 signature, 7 connection off: misconfigured), and the others as a dead refresh token: nothing is sent
  /// again until somebody looks. An unknown name may be any of all these: it is asked again, rarely, with an alarm.
  var outcome: GrantError.Kind {
    switch self {
    case .number(100), .number(102): .transient
    case .number(2), .number(3), .number(4), .number(7), .unknownName: .misconfigured
    case .number: .needsLogin
    }
  }

  /// For logs and metrics: `misa_error_102`. Only numbers that could be an error type are shown.
  var code: String {
    if case .number(let number) = self, (0...999).contains(number) { return "misa_error_\(number)" }
    return "misa_error_unknown"
  }
}
