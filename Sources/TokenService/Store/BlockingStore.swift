// What the store worker carries out on its thread. One implementation for each kind of store.

internal import EventLoop
package import TokenKit

/// A row that another process has written.
package struct StoreChange: Sendable, Equatable {
  /// The credential.
  package var name: String
  /// The row's generation now.
  package var generation: UInt64
}

/// What a store says by itself.
package enum StoreNotice: Sendable, Equatable {
  /// Rows have changed, or may have.
  case changed([StoreChange])
  /// The server can't be reached. Told once for each outage.
  case lost(StoreError)
  /// It can be reached again.
  case recovered(after: Duration)
}

/// A store whose calls block. Made, used and closed on the store worker's thread. Success means durable.
protocol BlockingStore: AnyObject {
  /// Has `notice` called on the loop's thread, which is this store's, whenever there is something to say.
  func watch(on loop: EventLoop, _ notice: @escaping (StoreNotice) -> Void) throws(SystemError)
  /// Reads rows, and whether seeds are known; one record for each query, in their order.
  func load(_ queries: [StoreQuery]) throws(StoreError) -> [StoreRecord]
  /// Marks a grant as in flight, by compare-and-set on the generation.
  func begin(_ begin: StoreBegin) throws(StoreError) -> StoreBeginAnswer
  /// Writes a pair, by compare-and-set on the generation.
  func save(_ save: StoreSave) throws(StoreError) -> StoreSaveAnswer
  /// Ends a grant that brought no pair.
  func abandon(_ abandon: StoreAbandon) throws(StoreError)
  /// Gives the store to the next process; nothing is called afterwards.
  func close() throws(StoreError)
}
