// The byte queue against a plain array, and the pool that buffers come from.
import Testing

@testable import EventLoop

@Suite struct ByteBufferTests {
  private func contents(_ buffer: ByteBuffer) -> [UInt8] {
    buffer.withSpan { span in (0..<span.count).map { span[$0] } }
  }

  @Test("Appending and consuming in any order keeps every byte", arguments: 1...10)
  func againstArray(seed: UInt64) {
    var random = TestRandom(seed: seed)
    let buffer = ByteBuffer(capacity: 16)
    var model: [UInt8] = []
    for _ in 0..<500 {
      if Bool.random(using: &random) {
        let bytes = pattern(Int.random(in: 0...200, using: &random), seed: random.next())
        if Bool.random(using: &random) {
          buffer.append(bytes.span)
          model += bytes
        } else {
          // Fewer than the room that was asked for.
          let used = Int.random(in: 0...bytes.count, using: &random)
          buffer.append(capacity: bytes.count) { output in for byte in bytes.prefix(used) { output.append(byte) } }
          model += bytes.prefix(used)
        }
      } else {
        let count = Int.random(in: 0...min(model.count, 300), using: &random)
        buffer.consume(count)
        model.removeFirst(count)
      }
      #expect(buffer.count == model.count)
      #expect(buffer.isEmpty == model.isEmpty)
    }
    #expect(contents(buffer) == model)
  }

  @Test("A queue that is used steadily does not grow")
  func steadyUse() {
    let buffer = ByteBuffer(capacity: 1024)
    for _ in 0..<10_000 {
      buffer.append([UInt8](repeating: 1, count: 100).span)
      if buffer.count > 600 { buffer.consume(500) }
    }
    #expect(buffer.capacity <= 4096)
  }

  @Test("The pool gives an emptied buffer back, and keeps no large one")
  func pool() {
    let pool = BufferPool()
    let first = pool.acquire()
    first.append([1, 2, 3].span)
    pool.release(first)
    let again = pool.acquire()
    #expect(again === first)
    #expect(again.isEmpty)
    again.append([UInt8](repeating: 0, count: 100_000).span)
    pool.release(again)
    #expect(pool.acquire() !== again)
  }
}
