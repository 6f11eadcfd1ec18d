// One log line for each event in a credential's life. Messages are fixed texts; what varies stands in the metadata.
internal import Logging
internal import TokenKit

enum CredentialLog {
  static func write(_ event: CredentialEvent, of credential: String, to logger: Logger) {
    var metadata: Logger.Metadata = ["credential": "\(credential)"]
    let level: Logger.Level
    let message: Logger.Message
    switch event {
    case .leaseRestored(let generation, let remaining):
      (level, message) = (.info, "lease restored from the store")
      metadata["generation"] = "\(generation)"
      metadata["remaining_seconds"] = "\(remaining.components.seconds)"
    case .pairAdopted(let generation):
      (level, message) = (.info, "newer pair adopted from the store")
      metadata["generation"] = "\(generation)"
    case .seedTaken: (level, message) = (.info, "refresh token of the configuration is new and will be exchanged")
    case .seedIgnored:
      (level, message) = (
        .info, "refresh token of the configuration was used before; its successor in the store counts"
      )
    case .interruptedGrantFound(let owner):
      (level, message) = (.warning, "a grant was in flight when a process ended; the same refresh token is sent again")
      metadata["owner"] = "\(owner)"
    case .grantSent(let cause, let attempt):
      (level, message) = (.debug, "grant sent")
      metadata["cause"] = "\(cause)"
      metadata["attempt"] = "\(attempt)"
    case .callEnded(let took):
      (level, message) = (.debug, "token call ended")
      metadata["took_ms"] = "\(took.nanoseconds / 1_000_000)"
    case .grantWithoutMark:
      (level, message) = (.error, "grant sent without a mark in the store: the store can't be written")
    case .grantSucceeded(let generation, let lifetime, let took, let rotated):
      (level, message) = (.info, "token refreshed")
      metadata["generation"] = "\(generation)"
      metadata["lifetime_seconds"] = "\(lifetime.components.seconds)"
      metadata["took_ms"] = "\(took.nanoseconds / 1_000_000)"
      metadata["rotated"] = "\(rotated)"
    case .grantFailed(let kind, let code, let retryIn):
      (level, message) = (.warning, "grant failed")
      metadata["kind"] = "\(kind.rawValue)"
      metadata["code"] = "\(code)"
      if let retryIn { metadata["retry_in_ms"] = "\(retryIn.nanoseconds / 1_000_000)" }
    case .loginNeeded(let reason, let code):
      (level, message) = (.error, "credential needs a login: its refresh token is not accepted")
      metadata["reason"] = "\(reason.rawValue)"
      metadata["code"] = "\(code)"
    case .loggedIn(let generation):
      (level, message) = (.info, "login taken")
      metadata["generation"] = "\(generation)"
    case .storeFailed(let operation, let error):
      (level, message) = (.error, "store failed")
      metadata["operation"] = "\(operation.rawValue)"
      metadata["kind"] = "\(error.kind.rawValue)"
      metadata["error"] = "\(error.message)"
    case .pairStored(let generation):
      (level, message) = (.notice, "pair stored after all")
      metadata["generation"] = "\(generation)"
    case .storeConflict(let stored, let ours):
      (level, message) = (.warning, "the store has another generation than expected")
      metadata["stored"] = "\(stored)"
      metadata["ours"] = "\(ours)"
    case .routeBackedOff(let route, let wait):
      (level, message) = (.warning, "a route answers 401 to fresh tokens; it may force no refresh for a while")
      metadata["route"] = "\(route)"
      metadata["wait_seconds"] = "\(wait.components.seconds)"
    case .secretsChanged: (level, message) = (.info, "secrets were read again and differ")
    case .secretsUnreadable(let problem):
      (level, message) = (.error, "secrets can't be read")
      metadata["problem"] = "\(problem)"
    case .alarmRaised(let alarm):
      (level, message) = (.error, "alarm raised")
      metadata["alarm"] = "\(alarm.rawValue)"
    case .alarmCleared(let alarm):
      (level, message) = (.notice, "alarm cleared")
      metadata["alarm"] = "\(alarm.rawValue)"
    case .pairLost(let generation):
      (level, message) = (.critical, "the drain time is over and the newest pair is not stored")
      metadata["generation"] = "\(generation)"
    }
    logger.log(level: level, message, metadata: metadata)
  }
}
