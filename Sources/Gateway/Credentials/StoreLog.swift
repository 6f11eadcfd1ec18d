// One log line for each outage of a shared store, and one for its end.
internal import Logging
internal import TokenKit
internal import TokenService

enum StoreLog {
  static func write(_ notice: StoreNotice, to logger: Logger) {
    switch notice {
    case .changed: break
    case .lost(let error):
      logger.error(
        "store lost; leases serve on, and nothing that spends a refresh token is sent until it is back",
        metadata: ["error": "\(error.message)"])
    case .recovered(let away):
      logger.notice("store is back", metadata: ["away_ms": "\(away.nanoseconds / 1_000_000)"])
    }
  }
}
