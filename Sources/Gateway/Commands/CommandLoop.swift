// A control loop of a command's own: names, token calls, timers, as the gateway has them.
internal import EventLoop
internal import TokenKit
internal import TokenService

/// Blocks in `run`. Made and used on one thread.
final class CommandLoop {
  let loop: EventLoop
  let timers: ControlTimers
  let clock = SystemClock()
  let transport: CurlTransport
  private let resolver: Resolver

  init() throws(CommandFailure) {
    do {
      let loop = try EventLoop()
      let resolver = try Resolver(loop)
      self.loop = loop
      self.resolver = resolver
      timers = ControlTimers(loop)
      transport = CurlTransport(loop, userAgent: "gateway/\(Version.text)") { host, _, completion in
        resolver.resolve(host) { completion(NameAnswer.numeric($0)) }
      }
    } catch {
      throw .unasked("\(error)")
    }
  }

  /// Turns until `isDone`, or until `limit` is over.
  func run(within limit: Duration, until isDone: () -> Bool) throws(CommandFailure) {
    let timer = timers.schedule(at: clock.now.boot + limit) {}
    defer { timers.cancel(timer) }
    let deadline = clock.now.boot + limit
    do throws(SystemError) {
      while !isDone(), clock.now.boot < deadline { try loop.turn(waitingAtMost: -1) }
    } catch {
      throw .unasked("\(error)")
    }
  }

  /// Ends what is under way.
  func close() {
    transport.close()
    resolver.stop()
  }
}
