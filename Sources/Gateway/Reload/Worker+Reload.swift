// A data loop takes new settings, between two turns of what it does: requests at hand go on with what they began with.
internal import EventLoop
internal import TokenKit

extension Worker {
  func reload(_ settings: LoopSettings) {
    let old = plan
    plan = settings.plan
    forwarding = settings.forwarding
    leases.follow(plan.credentials, plan.hasCredential, settings.leases, anew: plan.places.reused.credentials)
    let layout = CounterLayout(plan.places)
    if layout != counters.layout {
      counters = LoopCounters(layout, after: counters)
      counters.clear(plan.places.reused)
      report?.restart()
    }
    takeUpstreams()
    takeAccessLog(settings)
    takeTracing(settings)
    takeListeners(settings.listening)
    loop.relays.limit = settings.relays
    // What used them last must not keep the old plan alive.
    for exchange in spareExchanges { exchange.forget() }
    withExtendedLifetime(old) {}
  }

  // MARK: Upstreams

  func takeUpstreams() {
    replacedPools.removeAll(where: \.isSpent)
    var isUsed = [Bool](repeating: false, count: plan.places.upstreams.count)
    for upstream in plan.upstreams {
      isUsed[upstream.place] = true
      let limit = share(of: upstream.connections)
      if upstream.place >= pools.count {
        // Places are given in the order in which they come up here.
        pools.append(UpstreamPool(self, upstream.target, limit: limit))
      } else if plan.places.reused.upstreams.contains(upstream.place) {
        replacedPools.append(pools[upstream.place])
        pools[upstream.place] = UpstreamPool(self, upstream.target, limit: limit)
      } else if pools[upstream.place].target.tls?.context !== upstream.target.tls?.context {
        let old = pools[upstream.place]
        pools[upstream.place] = UpstreamPool(self, upstream.target, limit: limit, after: old)
        old.retire()
        replacedPools.append(old)
      } else {
        pools[upstream.place].revive()
      }
    }
    for place in pools.indices where !isUsed[place] { pools[place].retire() }
  }

  // MARK: The access log

  private func takeAccessLog(_ settings: LoopSettings) {
    let line = AccessLogLine(settings.log, plan.logNames, idPrefix: idPrefix)
    if let accessLog, accessLog.destination === settings.accessLog { return accessLog.use(line) }
    let wasOff = !namesConnections
    accessLog?.retire()
    // Its lines were counted.
    droppedBefore &+= accessLog?.dropped ?? 0
    accessLog = makeAccessLog(settings.accessLog, line)
    if wasOff, accessLog != nil { nameConnections() }
  }

  /// Upstream connections have their addresses at hand, for lines and spans.
  var namesConnections: Bool { accessLog != nil || tracer != nil }

  private func nameConnections() {
    for pool in pools { pool.makeLabels() }
    for connection in connections.all { (connection.exchange?.upstream as? HTTP1Upstream)?.makeLabel() }
  }

  // MARK: Tracing

  /// Requests at hand go on as they began; what is finished after tracing was turned off is not written down.
  func takeTracing(_ settings: LoopSettings) {
    guard let tracing = settings.tracing else {
      tracer?.close()
      spansDroppedBefore &+= tracer?.dropped ?? 0
      return tracer = nil
    }
    if let tracer { return tracer.use(tracing) }
    let wasOff = !namesConnections
    let (control, index) = (context.control, context.index)
    tracer = SpanRecorder(loop, tracing) { control.send(.spans($0, worker: index)) }
    if wasOff { nameConnections() }
  }

  // MARK: Listeners

  /// Their connections go on, and are judged by the new settings from their next request on.
  func takeListeners(_ sockets: [ListeningSocket]) {
    for place in listenerPlans.indices where !plan.listeners.contains(where: { $0.index == place }) {
      if !listenerPlans[place].isRemoved { listenerPlans[place] = listenerPlans[place].removed }
    }
    for listener in plan.listeners {
      if listener.index < listenerPlans.count {
        listenerPlans[listener.index] = listener
      } else {
        // As with the pools.
        listenerPlans.append(listener)
      }
    }
    for connection in connections.all {
      connection.listener = listenerPlans[connection.listener.index]
      if connection.listener.isRemoved { connection.closeIfIdle() }
    }
    let kept = Set(sockets.map(\.id))
    for (id, listener) in listeners where !kept.contains(id) {
      listener.drain()
      shedBefore[socketPlaces[id] ?? 0, default: 0] &+= listener.shed
      listeners[id] = nil
      socketPlaces[id] = nil
      context.control.send(.released(socket: id))
    }
    for socket in sockets {
      socketPlaces[socket.id] = socket.place
      if listeners[socket.id] != nil { continue }
      do throws(SystemError) {
        listeners[socket.id] = try listen(socket)
      } catch {
        context.control.send(.failed("data loop \(context.index) can't listen on \(socket.address): \(error)"))
      }
    }
  }
}
