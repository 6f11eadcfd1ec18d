// PKCE: the RFC's own vectors, and what a verifier and a state look like.
import Testing
import TokenKit

@testable import TokenService

@Suite struct ProofKeyTests {
  @Test("RFC 7636 appendix A: base64url without padding") func base64URL() {
    #expect(ProofKey.base64URL([3, 236, 255, 224, 193]) == "A-z_4ME")
  }

  @Test("RFC 7636 appendix B: the verifier of 32 known octets, and its challenge by S256") func appendixB() {
    let octets: [UInt8] = [
      116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191, 240,
      91, 88, 5, 88, 83, 132, 141, 121,
    ]
    let verifier = ProofKey.base64URL(octets)
    #expect(verifier == "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    #expect(ProofKey(verifier: Secret(verifier)).challenge == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")
  }

  @Test("RFC 7636 §4.1: 43 to 128 unreserved characters, never the same twice") func verifiers() {
    let keys = (0..<100).map { _ in ProofKey() }
    let verifiers = keys.map { $0.verifier.reveal() }
    #expect(Set(verifiers).count == 100 && Set(keys.map(\.challenge)).count == 100)
    for text in verifiers + keys.map(\.challenge) {
      #expect(text.utf8.count == 43)
      #expect(text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "-._~".contains($0)) })
    }
    #expect("\(keys[0])".contains("redacted"), "a verifier is a secret")
  }
}
