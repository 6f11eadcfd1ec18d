// Where credentials are kept: `store` in gateway.json.
package import TokenService

/// The store.
package struct StoreConfiguration: Sendable {
  /// Where it is.
  package enum Place: Sendable, Equatable {
    /// One file for this process; its path is absolute once loaded.
    case sqlite(path: String)
    /// A database that replicas share.
    case postgres(PostgresURL)
  }

  package var place: Place
  /// Encrypts tokens; `.none` without `encryption_key`.
  package var cipher: TokenCipher

  /// Which store it is, for another process of this machine to compare. Without a database's URL, which has a password.
  var label: String {
    switch place {
    case .sqlite(let path): "sqlite \(path)"
    case .postgres: "postgres"
    }
  }

  package init(place: Place, cipher: TokenCipher = .none) {
    self.place = place
    self.cipher = cipher
  }
}
