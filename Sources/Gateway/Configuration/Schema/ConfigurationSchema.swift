// What `gateway schema` prints: made from the same description by which the file is read.
internal import TokenKit

/// The description of gateway.json for editors and for people.
package enum ConfigurationSchema {
  /// A JSON Schema, draft 2020-12, with a newline at its end.
  package static func json(_ registry: ProviderRegistry) -> String {
    SchemaWriter(root: ConfigurationReader.settings(registry)).document.text + "\n"
  }

  /// The tables of docs/configuration.md, all of the file.
  package static func markdown(_ registry: ProviderRegistry) -> String {
    SettingsTables.document(ConfigurationReader.settings(registry))
  }
}
