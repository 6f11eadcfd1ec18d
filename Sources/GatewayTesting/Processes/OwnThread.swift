// Blocking test code beside the cooperative threads, of which there are too few to block.
internal import EventLoop

package enum OwnThread {
  /// Runs `body` on a thread of its own and suspends until it is done.
  package static func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    var thread: LoopThread.Handle?
    defer { thread?.join() }
    return try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Result, any Error>) in
      do {
        thread = try LoopThread.start(name: "test") { continuation.resume(with: Swift.Result(catching: body)) }
      } catch {
        continuation.resume(throwing: error)
      }
    }
  }
}
