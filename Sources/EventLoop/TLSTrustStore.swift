// The certificate authorities that peers are verified against. Reading a bundle takes 30 ms, so every distinct file is
// read once per process and shared by all contexts and loops.
internal import COpenSSL
internal import Synchronization

/// A set of trusted certificates.
///
/// Safety: X509_STORE counts its references atomically and locks its own look-ups; the pointer is good until `deinit`.
@safe
final class TLSTrustStore: @unchecked Sendable {
  let pointer: OpaquePointer

  private struct Loaded {
    var identity: FileIdentity?
    var store: TLSTrustStore
  }
  /// By path; the empty one stands for the system's own.
  private static let loaded = Mutex<[String: Loaded]>([:])

  /// The store of a PEM bundle, or of the system. A file that was replaced since is read again.
  static func shared(caFile: String?) throws(TLSError) -> TLSTrustStore {
    let result: Result<TLSTrustStore, TLSError> = loaded.withLock { loaded in
      let identity = caFile.flatMap { FileIdentity(path: $0) }
      if let known = loaded[caFile ?? ""], known.identity == identity { return .success(known.store) }
      do throws(TLSError) {
        let store = try TLSTrustStore(caFile: caFile)
        loaded[caFile ?? ""] = Loaded(identity: identity, store: store)
        return .success(store)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private init(caFile: String?) throws(TLSError) {
    ERR_clear_error()
    guard let store = unsafe X509_STORE_new() else { throw TLSError.fromQueue(otherwise: .library) }
    unsafe pointer = store
    // The system's directory is looked into by the issuer's hash when a certificate needs it, its file is read here.
    let isLoaded =
      if let caFile { unsafe X509_STORE_load_file(store, caFile) } else {
        unsafe X509_STORE_set_default_paths(store)
      }
    if isLoaded != 1 {
      let cause = TLSError.fromQueue(otherwise: .trustStore)
      throw TLSError(.trustStore, caFile.map { "\($0): \(cause.detail)" } ?? cause.detail)
    }
    ERR_clear_error()
  }

  deinit { unsafe X509_STORE_free(pointer) }
}
