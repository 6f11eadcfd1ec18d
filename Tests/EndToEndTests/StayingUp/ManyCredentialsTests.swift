// Very many credentials in one process, in a bounded form: `scripts/many-credentials` measures 100,000 in a release build.

import EventLoop
import GatewayTesting
import Synchronization
import Testing

@Suite(.serialized, .timeLimit(.minutes(8))) struct ManyCredentialsTests {
  private static let many = 5_000

  private final class Count: Sendable { let value = Atomic<Int>(0) }

  /// A token server that gives everybody a pair.
  private static func server(_ count: Count) throws -> ScriptedServer {
    try ScriptedServer(
      recording: .counts,
      script: ServerScript { _ in
        let number = count.value.add(1, ordering: .relaxed).newValue
        let json =
          "{\"access_token\":\"access-\(number)-abcdefghijklmnopqrstuvwxyz\",\"token_type\":\"bearer\","
          + "\"refresh_token\":\"refresh-\(number)-abcdefghijklmnopqrstuvwxyz\",\"expires_in\":86400}"
        return .answer(.text(json, type: "application/json"))
      })
  }

  private static func configuration(_ gateway: GatewayUnderTest, _ credentials: Int, token: SocketAddress) -> String {
    let list = (0..<credentials).map { index in
      """
      "tenant-\(index)":{"provider":"oauth2","grant":"refresh_token","token_url":"http://\(token)/token",
      "client_id":"client-of-tenant-\(index)","refresh_token":{"value":"seed-of-tenant-\(index)-0123456789"}}
      """
    }.joined(separator: ",\n")
    return """
      {"workers":1,"listeners":[{"name":"main","address":"\(gateway.address)"}],
       "admin":{"address":"\(gateway.admin)"},"store":{"kind":"sqlite","path":"\(gateway.storePath)"},
       "credentials":{\(list)},"log":{"level":"error"},
       "routes":[{"name":"first","match":{"path_prefix":"/"},"upstream":{"url":"http://\(token)"},
                  "credential":"tenant-0"}]}
      """
  }

  /// Bounds for a debug build on a machine that has more to do; the script's are those of the design.
  @Test func theyStartFromTheStoreAndTakeLittleMemory() async throws {
    let count = Count()
    let server = try Self.server(count)
    var resident: [Int] = []
    for credentials in [1, Self.many] {
      let gateway = try GatewayUnderTest()
      try gateway.write(Self.configuration(gateway, credentials, token: server.addresses[0]))
      let before = count.value.load(ordering: .relaxed)
      try await gateway.start(waitingFor: "/healthz")
      // Every seed is exchanged once; a token call at a time for each, 16 in all.
      try await Deadline.wait("all seeds are exchanged", within: .seconds(180)) {
        count.value.load(ordering: .relaxed) - before >= credentials
      }
      #expect(server.record.openConnections <= 17)
      _ = try await gateway.stop()
      let began = ContinuousClock.now
      try await gateway.start()
      let took = ContinuousClock.now - began
      #expect(took < .seconds(60), "the start took \(took)")
      let process = try gateway.process
      if let alone = resident.first {
        // What the start took is given back a second after it.
        try await Deadline.wait("they take little memory") {
          // A sanitizer's own memory counts as the gateway's.
          (process.residentBytes - alone) / (Self.many - 1) < 2500 * Pace.slowness * Pace.slowness
        }
      } else {
        resident.append(process.residentBytes)
      }
      #expect(count.value.load(ordering: .relaxed) - before <= credentials + credentials / 10, "nothing is asked again")
      _ = try await gateway.stop()
    }
  }
}
