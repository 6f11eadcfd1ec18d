// The order in which exchanges get connections, against a plain list.
import Testing
import TokenKit

@testable import Gateway

@Suite struct ConnectQueueTests {
  private final class Waiter {}

  @Test func behavesLikeAListWhateverLeavesInWhicheverOrder() {
    var queue = ConnectQueue<Waiter>()
    var expected: [(ticket: ConnectTicket, waiter: Waiter)] = []
    var gone: [ConnectTicket] = []
    var generator = RandomSource(seed: 7)
    for step in 0..<20_000 {
      // Fills up, then empties, several times.
      let grows = step / 2500 % 2 == 0 ? 70 : 30
      switch Int.random(in: 0..<100, using: &generator) {
      case ..<grows:
        let waiter = Waiter()
        let ticket = queue.append(waiter)
        expected.append((ticket, waiter))
        #expect(queue[ticket] === waiter)
      case ..<85:
        #expect(queue.popFirst() === expected.first?.waiter)
        if !expected.isEmpty { gone.append(expected.removeFirst().ticket) }
      default:
        guard let index = expected.indices.randomElement(using: &generator) else { break }
        let (ticket, waiter) = expected.remove(at: index)
        #expect(queue.remove(ticket) === waiter)
        gone.append(ticket)
        #expect(queue.first(after: ticket) == (expected.count > index ? expected[index].ticket : nil))
      }
      #expect(queue.count == expected.count)
      #expect(queue.first() == expected.first?.ticket)
    }
    #expect(gone.count > 5000)
    for ticket in gone { #expect(queue.remove(ticket) == nil) }
  }
}
