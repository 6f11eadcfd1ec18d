// From the description of settings to a JSON Schema (draft 2020-12).
internal import TokenKit

struct SchemaWriter {
  typealias Members = [(key: String, value: SchemaJSON)]

  var root: SettingsObject

  private static let secret = "#/$defs/secret"

  /// The whole schema.
  var document: SchemaJSON {
    var members: Members = [
      ("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
      ("title", .string("gateway.json")),
      (
        "description",
        .string(
          "Configuration of the gateway. Durations are texts such as \"500ms\", \"10s\", \"5m\", \"720h\", \"30d\"; sizes "
            + "such as \"512B\", \"64KiB\", \"10MiB\", \"1GiB\". null is the same as leaving a key out unless its "
            + "description says otherwise. What no schema can check (keys that stand twice, references to names in the "
            + "file, files and environment variables, routes that take the same requests) is checked by gateway check.")
      ),
    ]
    members += object(root, nullable: false)
    var definitions: Members = [
      (
        "secret",
        .object(
          [
            ("title", .string("secret")),
            ("description", .string("A reference to a secret: {\"env\": …}, {\"file\": …} or {\"value\": …}.")),
          ] + object(SecretResolver.settings, nullable: false))
      )
    ]
    for (name, object) in Self.variants(in: root) {
      definitions.append((Self.definition(name), .object(self.object(object, nullable: false))))
    }
    members.append(("$defs", .object(definitions)))
    return .object(members)
  }

  private static func definition(_ variant: String) -> String { "credential-\(variant)" }

  private static func variants(in object: SettingsObject) -> [(value: String, object: SettingsObject)] {
    object.entries.flatMap { entry -> [(value: String, object: SettingsObject)] in
      guard case .map(.variants(_, let variants), _) = entry.kind else { return [] }
      return variants
    }
  }

  /// One key's schema.
  private func property(_ entry: SettingsEntry) -> SchemaJSON {
    var members: Members = [("title", .string(entry.name))]
    members.append(("description", .string(SettingsWords.description(entry))))
    members += schema(entry.kind, nullable: entry.presence != .required)
    if let fallback = entry.fallback { members.append(("default", SchemaJSON(fallback))) }
    let examples = entry.examples.isEmpty ? SettingsWords.examples(entry.kind) : entry.examples
    if !examples.isEmpty { members.append(("examples", .array(examples.map(SchemaJSON.init)))) }
    return .object(members)
  }

  private func schema(_ kind: SettingsKind, nullable: Bool) -> Members {
    switch kind {
    case .text(let rule): return text(rule, nullable: nullable)
    case .flag: return [type("boolean", nullable)]
    case .integer(let bounds):
      return [
        type("integer", nullable), ("minimum", .whole(bounds.lowerBound)), ("maximum", .whole(bounds.upperBound)),
      ]
    case .number(let bounds):
      return [
        type("number", nullable), ("minimum", .number(bounds.lowerBound)), ("maximum", .number(bounds.upperBound)),
      ]
    case .duration(let bounds): return text(SettingsText(SettingsPatterns.duration(bounds)), nullable: nullable)
    case .size(let bounds): return text(SettingsText(SettingsPatterns.size(bounds)), nullable: nullable)
    case .choice(let names): return [("enum", .array(names.map(SchemaJSON.string) + (nullable ? [.null] : [])))]
    case .secret(let rule):
      let reference = reference(rule)
      return nullable ? [("anyOf", .array([.object(reference), .object([type("null")])]))] : reference
    case .textOrSecret(let rule):
      return [("anyOf", .array([.object(text(rule, nullable: nullable)), .object(reference(rule))]))]
    case .array(let element, let least, let unique):
      var members = [type("array", nullable), ("items", .object(schema(element, nullable: false)))]
      if least > 0 { members.append(("minItems", .whole(least))) }
      if unique { members.append(("uniqueItems", .bool(true))) }
      return members
    case .object(let object): return self.object(object, nullable: nullable)
    case .map(let element, let names):
      return [
        type("object", nullable), ("propertyNames", .object(text(names, nullable: false))),
        ("additionalProperties", .object(schema(element, nullable: false))),
      ]
    case .variants(let key, let variants): return choose(key, variants)
    }
  }

  private func type(_ name: String, _ nullable: Bool = false) -> (key: String, value: SchemaJSON) {
    ("type", nullable ? .strings([name, "null"]) : .string(name))
  }

  /// By `if` and `then` instead of `oneOf`: validators then say what is wrong with the variant that was meant.
  private func choose(_ key: String, _ variants: [(value: String, object: SettingsObject)]) -> Members {
    let meaning = variants.first?.object[name: key].map(SettingsWords.description) ?? ""
    let names: SchemaJSON = .object([
      ("title", .string(key)), ("description", .string(meaning)), ("enum", .strings(variants.map(\.value))),
    ])
    let branches = variants.map { variant in
      SchemaJSON.object([
        ("if", claim(.equals(key, .string(variant.value)))),
        ("then", .object([("$ref", .string("#/$defs/\(Self.definition(variant.value))"))])),
      ])
    }
    return [
      type("object"), ("required", .strings([key])), ("properties", .object([(key, names)])),
      ("allOf", .array(branches)),
    ]
  }

  private func object(_ object: SettingsObject, nullable: Bool) -> Members {
    var members: Members = [type("object", nullable)]
    let required = object.entries.filter { $0.presence != .optional }.map(\.name)
    if !required.isEmpty { members.append(("required", .strings(required))) }
    members.append(("properties", .object(object.entries.map { ($0.name, property($0)) })))
    members.append(("additionalProperties", .bool(false)))
    if !object.rules.isEmpty {
      members.append(("allOf", .array(object.rules.map { rule($0, forNull: nullable) })))
    }
    return members
  }

  private func rule(_ rule: SettingsRule, forNull nullable: Bool) -> SchemaJSON {
    var members: Members = [("description", .string(rule.meaning))]
    // `required` and `properties` pass what is no object, their negations don't.
    let isObject: SchemaJSON = .object([type("object")])
    switch rule.condition {
    case nil where nullable: members += [("if", isObject), ("then", claim(rule.claim))]
    case nil: members.append(("allOf", .array([claim(rule.claim)])))
    case let condition? where nullable:
      members += [("if", .object([("allOf", .array([isObject, claim(condition)]))])), ("then", claim(rule.claim))]
    case let condition?: members += [("if", claim(condition)), ("then", claim(rule.claim))]
    }
    return .object(members)
  }

  private func text(_ rule: SettingsText, nullable: Bool) -> Members {
    var members: Members = [type("string", nullable && rule.always.isEmpty)]
    if let pattern = rule.pattern { members.append(("pattern", .string(pattern))) }
    if rule.length.lowerBound > 0 { members.append(("minLength", .whole(rule.length.lowerBound))) }
    if rule.length.upperBound < .max { members.append(("maxLength", .whole(rule.length.upperBound))) }
    let refused = rule.refused.map { SchemaJSON.object([type("string"), ("pattern", .string($0))]) }
    if let first = refused.first {
      members.append(("not", refused.count == 1 ? first : .object([("anyOf", .array(refused))])))
    }
    if rule.always.isEmpty { return members }
    let always = SchemaJSON.array(rule.always.map(SchemaJSON.string) + (nullable ? [.null] : []))
    return [("anyOf", .array([.object([("enum", always)]), .object(members)]))]
  }

  /// A secret; what stands in the file itself must be by the rule.
  private func reference(_ rule: SettingsText) -> Members {
    var members: Members = [("$ref", .string(Self.secret))]
    if rule.pattern != nil {
      members.append(("properties", .object([("value", .object(text(rule, nullable: true)))])))
    }
    return members
  }

  private func claim(_ claim: SettingsClaim) -> SchemaJSON {
    func there(_ key: String, _ schema: Members) -> SchemaJSON {
      .object([("required", .strings([key])), ("properties", .object([(key, .object(schema))]))])
    }
    switch claim {
    case .isSet(let key): return there(key, [("not", .object([type("null")]))])
    case .isThere(let key): return .object([("required", .strings([key]))])
    case .equals(let key, let value): return there(key, [("const", SchemaJSON(value))])
    case .matches(let key, let rule): return there(key, text(rule, nullable: false))
    case .allMatch(let key, let rule):
      return there(key, [type("array"), ("items", .object(text(rule, nullable: false)))])
    case .containsBesides(let key, let value):
      return there(
        key, [type("array"), ("contains", .object([("const", SchemaJSON(value))])), ("minItems", .whole(2))])
    case .exactlyOne(let keys): return .object([("oneOf", .array(keys.map { self.claim(.isSet($0)) }))])
    case .not(let claim): return .object([("not", self.claim(claim))])
    case .all(let claims): return .object([("allOf", .array(claims.map(self.claim)))])
    case .any(let claims): return .object([("anyOf", .array(claims.map(self.claim)))])
    }
  }
}
