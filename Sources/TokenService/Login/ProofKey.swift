// Proof Key for Code Exchange (RFC 7636): what shows the token endpoint that whoever has the code has asked for it.

internal import Crypto
internal import FoundationEssentials
package import TokenKit

/// A verifier with its challenge; one for each login.
package struct ProofKey: Sendable {
  /// `code_verifier`: goes to the token endpoint only.
  package let verifier: Secret
  /// `code_challenge`, by S256.
  package let challenge: String

  /// A new one of 256 random bits (§4.1, §7.1).
  package init() { self.init(verifier: Secret(Self.random(bytes: 32))) }

  /// One whose verifier is known.
  package init(verifier: Secret) {
    self.verifier = verifier
    challenge = Self.base64URL(SHA256.hash(data: Data(verifier.reveal().utf8)).map { $0 })
  }

  /// Text that nobody can guess, of characters that need no escape in a URL; also for `state` (RFC 6749 §10.12).
  package static func random(bytes count: Int) -> String {
    // The system's generator is getrandom(2).
    var generator = SystemRandomNumberGenerator()
    return base64URL((0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) })
  }

  /// Base64 with the URL's alphabet and without padding (RFC 4648 §5, RFC 7636 appendix A).
  package static func base64URL(_ bytes: [UInt8]) -> String {
    Data(bytes).base64EncodedString().filter { $0 != "=" }.replacing("+", with: "-").replacing("/", with: "_")
  }
}
