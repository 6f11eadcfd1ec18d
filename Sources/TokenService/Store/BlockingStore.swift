// What the store worker carries out on its thread. One implementation for each kind of store.

internal import TokenKit

/// A store whose calls block. Made, used and closed on the store worker's thread. Success means durable.
protocol BlockingStore: AnyObject {
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
