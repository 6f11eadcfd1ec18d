// An upstream over TLS: large bodies in each direction, and certificates that do not fit.
import EventLoop
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(3))) struct TLSUpstreamTests {
  /// A TLS origin and a gateway in front of it.
  private struct Rig {
    let origin: TLSOrigin
    let gateway: GatewayUnderTest

    /// - Parameters:
    ///   - trusts: names the origin's certificate as `ca_file`.
    ///   - name: whom the certificate must be for, if not the upstream's host.
    static func start(trusts: Bool = true, name: String? = nil) async throws -> Rig {
      let origin = try await TLSOrigin.start(script: "tls_origin.py")
      var upstream = origin.upstream(trusts: trusts)
      if let name { upstream["tls_server_name"] = .string(name) }
      var route = Relay.plainRoute(to: .ipv4(0x7f00_0001, port: 1))
      route["upstream"] = upstream
      var configuration = GatewayConfiguration.empty
      configuration.routes = [route]
      return Rig(origin: origin, gateway: try await .start(configuration))
    }
  }

  @Test func tenMebibytesGoBothWaysOverTLSByteForByte() async throws {
    let rig = try await Rig.start()
    let size = 10 << 20
    let digest = BodyDigest.ofPattern(count: size)
    for isChunked in [false, true] {
      let up = try await LoadRun(
        to: rig.gateway.address, callers: 1, .requestsPerCaller(1),
        OutgoingRequest("PUT", "/kept", body: .pattern(size, isChunked: isChunked))
      ).check { $0.bodyText == "\(size)" ? nil : $0.bodyText }.run()
      #expect(up.isAll(200), "up, chunked \(isChunked): \(up.failures)")
      for target in ["/length", "/chunked"] {
        var run = LoadRun(to: rig.gateway.address, callers: 1, .requestsPerCaller(2), OutgoingRequest(target))
        run.keepsBodies = false
        let down = try await run.check { response in
          response.fingerprint == digest && response.fields.contains("Transfer-Encoding") == (target == "/chunked")
            ? nil : "\(response.fields)"
        }.run()
        #expect(down.count == 2 && down.isAll(200), "\(target): \(down.failures)")
      }
    }
  }

  /// What happens when: The certificate of an upstream does not fit
  @Test(arguments: [(false, nil), (true, "other.example")] as [(Bool, String?)])
  func aCertificateThatDoesNotFitIs502(_ trusts: Bool, _ name: String?) async throws {
    let rig = try await Rig.start(trusts: trusts, name: name)
    let response = try await rig.gateway.request("GET", "/length")
    #expect(response.status == 502 && response.problem?.source == "upstream", "\(response.bodyText)")
    #expect(response.fields["Proxy-Status"]?.contains("error=tls_") == true, "\(response.fields)")
  }
}
