// Uploads too big for the replay buffer, under load, while the token is rotated every 2 s by a server that kills the old
// one: no 401 reaches a caller, and every body arrives once.
import EventLoop
import GatewayTesting
import Synchronization
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(5))) struct RotationUploadTests {
  private static let sizes = [300 << 10, 1 << 20, 3 << 20, 10 << 20]
  private static let digests = sizes.map { BodyDigest.ofPattern(count: $0) }
  private static let time = Duration.seconds(15)

  /// Renewed after 80 % of their lives.
  private static func options(after: Duration) -> SandboxOptions {
    var options = SandboxOptions.onFreePorts
    options.setLifetime(.milliseconds(2500) * Pace.slowness)
    // The old token is dead for so long before the new one is here.
    options.latencyAfter = after
    return options
  }

  /// Sizes in turns, every other one chunked.
  private static func load(_ rig: TokenRig, check: @escaping @Sendable (ReceivedResponse) -> String?) async throws
    -> LoadReport
  {
    try await rig.load(
      callers: 6, .time(time * Pace.slowness), pause: .milliseconds(10), timeout: .seconds(60), check: check
    ) { caller, ordinal in
      let index = (caller + ordinal) % 20 == 0 ? 3 : (caller + ordinal) % 3
      return OutgoingRequest(
        "POST", "/up/\(index)/\(caller)/\(ordinal)",
        body: .pattern(sizes[index], isChunked: (ordinal + caller / 3) % 2 == 1))
    }.run()
  }

  private static func expectRotations(_ rig: TokenRig) {
    let counters = rig.sandbox.counters(.vinid)
    #expect(counters.calls >= 5 && counters.granted == counters.calls && counters.spentTokenSeen == 0, "\(counters)")
  }

  /// What happens when: A rotation kills the old token during uploads larger than `replay_body`
  @Test(arguments: [1, 2]) func noCallerSeesA401(workers: Int) async throws {
    let origin = try UploadOrigin()
    let rig = try await origin.rig(Self.options(after: .milliseconds(150)), workers: workers)
    let report = try await Self.load(rig) { response in
      guard response.status == 200 else { return "\(response.status) \(response.bodyText.prefix(200))" }
      let parts = response.bodyText.split(separator: " ")
      guard parts.count == 3, let index = parts[2].split(separator: "/").first.flatMap({ Int($0) }) else { return "?" }
      return parts[0] == "\(Self.sizes[index])" && parts[1] == "\(Self.digests[index])" ? nil : "the body is not whole"
    }
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    let record = origin.server.record
    let paths = record.requests.map(\.path)
    #expect(paths.count == report.count && Set(paths).count == paths.count, "each arrived once")
    #expect(record.violations.isEmpty)
    let seen = origin.seen
    #expect(seen.allSatisfy { $0.authorizations.count == 1 && $0.expects })
    #expect(seen.filter(\.isGood).count == report.count)
    #expect(report.count >= 30 / Pace.slowness)
    Self.expectRotations(rig)
    print(
      "\(workers) workers: \(report.count) uploads, \(seen.count - report.count) 401s cured, \(rig.tokenCalls()) tokens"
    )
    try await rig.finish()
  }

  /// Python's http.server judges in `handle_expect_100`.
  @Test func noCallerSeesA401OfARealServer() async throws {
    let sandbox = Shared(Mutex<Sandbox?>(nil))
    let directory = try TemporaryDirectory()
    let peer = Shared(Mutex<ChildProcess?>(nil))
    // The origin has to know where the sandbox is, and the gateway where the origin is.
    let options = Self.options(after: .milliseconds(150))
    let judge = try FreePort.take()
    var fixed = options
    fixed.vinidPort = judge
    let (process, says) = try await PythonPeer.start(
      "Gateway/Uploads/judging_origin.py", ["http://127.0.0.1:\(judge)/echo"], directory: directory)
    peer.value.withLock { $0 = process }
    let port = try #require(says["port"]?.int.flatMap { UInt16(exactly: $0) })
    let address = SocketAddress.ipv4(0x7f00_0001, port: port)
    let rig = try await TokenRig(fixed, prepare: { made in sandbox.value.withLock { $0 = made } }) {
      $0.routes = [GatewayConfiguration.route("up", prefix: "/up/", to: address, credential: "vinid")]
    }
    let report = try await Self.load(rig) { response in
      guard response.status == 200 else { return "\(response.status) \(response.bodyText.prefix(200))" }
      let index = response.json?["path"]?.text?.split(separator: "/").first.flatMap { Int($0) }
      return index.map { response.json?["bytes"]?.int == Self.sizes[$0] } == true ? nil : "the body is not whole"
    }
    #expect(report.isAll(200), "\(report.statuses) \(report.failures)")
    let log = try #require(try await OwnThread.run { try RawClient.request("GET", "/log", to: address) }.json)
    #expect(log["taken"]?.int == report.count && log["repeated"]?.elements?.isEmpty == true, "each arrived once")
    #expect(log["refused_after_body"]?.int == 0 && log["not_one_authorization"]?.int == 0)
    #expect((log["asked"]?.int ?? 0) >= report.count)
    Self.expectRotations(rig)
    print("http.server: \(report.count) uploads, \(log["refused"]?.int ?? -1) 401s cured")
    try await rig.finish()
  }

  /// nginx asks for every body and judges nothing: uploads pass through it in both framings, at once.
  @Test func uploadsPassThroughNginx() async throws {
    let origin = try UploadOrigin()
    let directory = try TemporaryDirectory()
    let port = try FreePort.take()
    let folder = directory.path
    try directory.write(
      "nginx.conf",
      """
      daemon off; master_process off; worker_processes 1; pid \(folder)/nginx.pid; error_log \(folder)/error.log;
      events { worker_connections 256; }
      http {
        access_log off; client_max_body_size 0; client_body_temp_path \(folder)/body; proxy_temp_path \(folder)/proxy;
        fastcgi_temp_path \(folder)/fastcgi; uwsgi_temp_path \(folder)/uwsgi; scgi_temp_path \(folder)/scgi;
        server {
          listen 127.0.0.1:\(port);
          location / { proxy_pass http://\(origin.server.address); proxy_http_version 1.1; }
        }
      }
      """)
    let nginx = try ChildProcess(
      "/usr/sbin/nginx", ["-p", folder, "-e", "\(folder)/error.log", "-c", "\(folder)/nginx.conf"],
      directory: directory,
      name: "nginx")
    let address = SocketAddress.ipv4(0x7f00_0001, port: port)
    try await nginx.waitWhileRunning("nginx listens") {
      await (try? OwnThread.run { try RawClient(to: address).close() }) != nil
    }
    let rig = try await origin.rig()
    var configuration = GatewayConfiguration.only(.vinid, rig.sandbox.addresses)
    configuration.routes = [GatewayConfiguration.route("up", prefix: "/up/", to: address, credential: "vinid")]
    #expect(try await rig.gateway.stop() == .code(0))
    try rig.gateway.write(configuration)
    try await rig.gateway.start()
    for (number, isChunked) in [false, true, false, true].enumerated() {
      let (response, took) = try await rig.upload("/up/\(number)", Self.sizes[2], isChunked: isChunked)
      #expect(response.bodyText == UploadOrigin.taken(Self.sizes[2], "/\(number)") && response.interim.isEmpty)
      #expect(took < .seconds(5) * Pace.slowness, "\(took)")
    }
    #expect(origin.seen.count == 4 && origin.seen.allSatisfy { $0.isGood && $0.authorizations.count == 1 })
    #expect(try await rig.gateway.stop() == .code(0))
    #expect(try await nginx.stop(with: ChildProcess.terminate) == .code(0))
  }
}
