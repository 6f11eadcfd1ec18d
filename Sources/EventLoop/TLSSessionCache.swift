// TLS sessions that a later connection to the same peer may resume. Touched when a connection opens and when a
// ticket comes, never per request.
internal import COpenSSL
internal import Synchronization

/// A session that can be offered to its peer again.
///
/// Safety: owns one reference; SSL_SESSION counts them atomically.
@safe
final class ResumableSession: @unchecked Sendable {
  let pointer: OpaquePointer

  init(owning pointer: OpaquePointer) { unsafe self.pointer = pointer }

  deinit { unsafe SSL_SESSION_free(pointer) }

  var isUsable: Bool { unsafe SSL_SESSION_is_resumable(pointer) == 1 }
  /// RFC 8446, appendix C.4: a ticket of TLS 1.3 serves one connection, so that they cannot be linked.
  var isSingleUse: Bool { unsafe SSL_SESSION_get_protocol_version(pointer) >= TLS1_3_VERSION }
}

/// The sessions of one context: for one set of authorities, by verified name and port.
final class TLSSessionCache: Sendable {
  struct Key: Hashable, Sendable {
    var name: String
    var port: UInt16
  }

  /// A server sends two tickets per handshake as a rule.
  private static let mostPerKey = 8
  private static let mostKeys = 1024

  private let sessions = Mutex<[Key: [ResumableSession]]>([:])

  func put(_ session: ResumableSession, for key: Key) {
    let dropped = sessions.withLock { sessions -> [ResumableSession] in
      if !session.isSingleUse {
        let old = sessions[key] ?? []
        sessions[key] = [session]
        return old
      }
      if sessions[key] == nil, sessions.count >= Self.mostKeys, let other = sessions.keys.first {
        sessions[other] = nil
      }
      var known = sessions.removeValue(forKey: key) ?? []
      known.append(session)
      let surplus = known.count > Self.mostPerKey ? [known.removeFirst()] : []
      sessions[key] = known
      return surplus
    }
    // Freed here, outside of the lock.
    _ = dropped
  }

  /// The newest session for a peer.
  func take(_ key: Key) -> ResumableSession? {
    sessions.withLock { sessions in
      while let last = sessions[key]?.last {
        if last.isSingleUse || !last.isUsable { sessions[key]?.removeLast() }
        if last.isUsable { return last }
      }
      return nil
    }
  }
}
