// Settings out of a JSON text, for tests: a credential's object as gateway.json would have it, without the gateway.
import FoundationEssentials
package import TokenKit

extension SettingsReader {
  /// A reader over the JSON object in `text`, with `path` as its JSON path. Secrets are `{"value": …}` only.
  /// - Throws: `DecodingError` when the text is not a JSON object.
  package static func fromJSON(
    _ text: String, path: String = "credentials.test", problems: SettingsProblems = SettingsProblems()
  ) throws -> SettingsReader {
    let members = try JSONDecoder().decode([String: DecodedJSON].self, from: Data(text.utf8))
    return SettingsReader(path: path, members: members.mapValues(\.value), problems: problems, secrets: PlainSecrets())
  }
}

/// Secrets that stand in the settings themselves.
package struct PlainSecrets: SecretSource {
  /// Nothing to set up.
  package init() {}

  /// The text of `{"value": …}`; everything else is a problem.
  package func secret(from value: JSONValue, path: String, problems: SettingsProblems) -> Secret? {
    if case .object(let members) = value, members.count == 1, case .string(let text)? = members["value"] {
      return Secret(text)
    }
    problems.add(SettingsProblem(path: path, message: "must be {\"value\": …} here"))
    return nil
  }
}

/// Any JSON value, on its way to `JSONValue`.
private struct DecodedJSON: Decodable {
  let value: JSONValue

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      value = .null
    } else if let text = try? container.decode(String.self) {
      value = .string(text)
    } else if let flag = try? container.decode(Bool.self) {
      value = .bool(flag)
    } else if let number = try? container.decode(Double.self) {
      value = .number(number)
    } else if let elements = try? container.decode([DecodedJSON].self) {
      value = .array(elements.map(\.value))
    } else {
      value = .object(try container.decode([String: DecodedJSON].self).mapValues(\.value))
    }
  }
}
