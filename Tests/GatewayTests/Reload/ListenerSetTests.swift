// Sockets that are closed while callers come: who was queued is not reset.
import GatewayTesting
import Glibc
import Testing

@testable import EventLoop
@testable import Gateway

@Suite struct ListenerSetTests {
  /// A set with one listener, whose loops have looked at it for the last time, and the callers that came since then.
  private static func rig(workers: Int, callers: Int) throws -> (ListenerSet, GatewayConfiguration, [RawClient]) {
    let fd = try Socket.listen(on: .ipv4(0x7f00_0001, port: 0))
    let address = try Socket.localAddress(fd)
    try Socket.makeNonBlocking(fd)
    let configuration = GatewayConfiguration(listeners: [ListenerConfiguration(name: "main", address: address)])
    let set = ListenerSet(workers: workers, configuration, PlanPlaces(configuration), [fd])
    return (set, configuration, try (0..<callers).map { _ in try RawClient(to: address) })
  }

  /// Each caller's connection is whole: what it sent is there, and an answer gets through.
  private static func serve(_ arrivals: [Arrival], _ callers: [RawClient]) throws {
    #expect(arrivals.count == callers.count)
    for arrival in arrivals {
      #expect(arrival.listener == 0)
      let answer = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)
      #expect(unsafe answer.withUnsafeBytes { unsafe send(arrival.fd, $0.baseAddress, $0.count, 0) } == answer.count)
      Socket.close(arrival.fd)
    }
    for caller in callers { #expect(try caller.response().status == 200) }
  }

  @Test func whoComesBeforeTheEndIsHandedOn() throws {
    let (set, _, callers) = try Self.rig(workers: 2, callers: 5)
    try Self.serve(set.closeAll(), callers)
    #expect(set.closeAll().isEmpty)
  }

  @Test func whoComesBeforeAListenerGoesIsHandedOnByTheLastLoop() throws {
    let (set, configuration, callers) = try Self.rig(workers: 2, callers: 3)
    var places = PlanPlaces(configuration)
    let without = GatewayConfiguration(listeners: [])
    places.take(without, free: PlanPlaces.Chosen())
    let id = try #require(set.sockets.first).id
    set.take(try set.prepare(without, places))
    #expect(set.released(id).isEmpty, "the other loop still looks at it")
    try Self.serve(set.released(id), callers)
    #expect(set.released(id).isEmpty)
  }
}
