// SHA-256 through OpenSSL: makes the fingerprints that TokenKit asks for.

internal import COpenSSL
package import TokenKit

/// Digests of bytes that are no secret.
package enum Digest {
  /// 32 bytes.
  package static func sha256(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    // The one-shot form without an output pointer of its own; it only reads the bytes and fills the 32 of `digest`.
    let isDone = unsafe bytes.withUnsafeBufferPointer { input in
      unsafe digest.withUnsafeMutableBufferPointer { output in
        unsafe SHA256(input.baseAddress, input.count, output.baseAddress) != nil
      }
    }
    // Without it every token would look like every other one: better not to run at all.
    guard isDone else { preconditionFailure("OpenSSL has no SHA-256") }
    return digest
  }
}

extension Fingerprinter {
  /// Fingerprints by OpenSSL's SHA-256.
  package static let sha256 = Fingerprinter { bytes in
    guard let fingerprint = Fingerprint(bytes: Digest.sha256(bytes)) else {
      preconditionFailure("OpenSSL's SHA-256 has another length")
    }
    return fingerprint
  }
}
