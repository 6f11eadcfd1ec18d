// Metrics of connections, on both sides.

extension MetricsReport {
  private func perListener(
    _ name: String, _ type: MetricType, _ help: String, _ cell: CounterLayout.ListenerCell
  ) -> MetricFamily {
    MetricFamily(name: name, type: type, help: help, rows: names.listeners.count) { row, text in
      text.sample(name, MetricLabels(["listener": names.listeners[row]]), counters.listener(row, cell))
    }
  }

  var connectionFamilies: [MetricFamily] {
    let shed = "gateway_connections_shed_total"
    return [
      perListener("gateway_connections", .gauge, "Connections with callers.", .open),
      perListener("gateway_connections_accepted_total", .counter, "Connections that callers made.", .accepted),
      MetricFamily(
        name: shed, type: .counter, help: "Connections that were closed at once, for want of a place or a descriptor.",
        rows: names.listeners.count
      ) { row, text in
        let labels = MetricLabels(["listener": names.listeners[row]])
        text.sample(shed, labels.adding("reason", "limit"), counters.listener(row, .shed))
        text.sample(shed, labels.adding("reason", "descriptors"), counters.listener(row, .shedForDescriptors))
      },
    ]
  }

  private func perUpstream(
    _ name: String, _ type: MetricType, _ help: String, _ cells: [(state: String?, cell: CounterLayout.UpstreamCell)]
  ) -> MetricFamily {
    MetricFamily(name: name, type: type, help: help, rows: names.upstreams.count) { row, text in
      let upstream = names.upstreams[row]
      let labels = MetricLabels(["upstream": upstream.name])
      for (state, cell) in cells {
        let value = upstream.pools.reduce(0) { $0 &+ counters.upstream($1, cell) }
        if value == 0, names.upstreams.count > Self.fullListing { continue }
        text.sample(name, state.map { labels.adding("state", $0) } ?? labels, value)
      }
    }
  }

  var upstreamFamilies: [MetricFamily] {
    [
      perUpstream(
        "gateway_upstream_connections", .gauge, "Connections to an upstream server, by what they are doing.",
        [("active", .active), ("idle", .idle), ("connecting", .connecting)]),
      perUpstream(
        "gateway_upstream_waiting_requests", .gauge, "Requests that wait for a connection.", [(nil, .waiting)]),
      perUpstream(
        "gateway_upstream_connects_total", .counter, "Connections that were tried.", [(nil, .attempts)]),
      perUpstream(
        "gateway_upstream_connect_failures_total", .counter, "Connections that did not come about.",
        [(nil, .failures)]),
      perUpstream(
        "gateway_upstream_avoided", .gauge, "Data loops that leave the server alone for a while because it failed.",
        [(nil, .ejected)]),
    ]
  }
}
