// Metrics of requests: how many, how long, what went wrong, by route.

extension MetricsReport {
  private var layout: CounterLayout { counters.layout }
  private var routeRows: Int { layout.routeCount + 1 }

  /// Rows of which nothing is told: requests without a route that there were none of, and, of very many routes, those
  /// that nobody has used.
  private func isSilent(_ row: Int, _ value: UInt64) -> Bool {
    if names.goneRoutes.contains(row) { return true }
    return value == 0 && (row == layout.noRoute || layout.routeCount > Self.fullListing)
  }

  private func perRoute(
    _ name: String, _ help: String, _ value: @escaping (CounterSnapshot.Route) -> UInt64
  ) -> MetricFamily {
    MetricFamily(name: name, type: .counter, help: help, rows: routeRows) { row, text in
      let value = value(counters.route(row))
      if !isSilent(row, value) { text.sample(name, names.labels(ofRoute: row), value) }
    }
  }

  private func histograms(
    _ name: String, _ help: String, _ value: @escaping (Int) -> HistogramCounts
  ) -> MetricFamily {
    MetricFamily(name: name, type: .histogram, help: help, rows: layout.isDetailed ? routeRows : 1) { row, text in
      let counts = value(row)
      let isEmpty = counts.count == 0 && layout.routeCount > Self.fullHistograms
      if layout.isDetailed, isEmpty || isSilent(row, counts.count) { return }
      text.histogram(
        name, names.labels(ofRoute: layout.isDetailed ? row : layout.noRoute), bounds: TimeBuckets.bounds,
        counts: counts.buckets, sum: counts.sum)
    }
  }

  var requestFamilies: [MetricFamily] {
    [
      requests,
      perRoute(
        "gateway_requests_abandoned_total", "Requests whose caller went away before the answer was whole.",
        \.abandoned),
      single(
        "gateway_requests_in_flight", .gauge, "Requests that are being forwarded or wait for a token.",
        counters.inFlight),
      histograms(
        "gateway_request_duration_seconds", "Time from the end of a request's head to the end of its answer.",
        counters.durations),
      histograms(
        "gateway_upstream_first_byte_seconds",
        "Time from having an upstream connection to the first byte of the answer, of every attempt.",
        counters.firstBytes),
      perRoute(
        "gateway_request_body_bytes_total", "Bytes of requests' bodies that came from callers.", \.bytesIn),
      perRoute(
        "gateway_response_body_bytes_total", "Bytes of upstreams' bodies that were passed on to callers.",
        \.bytesOut),
      errors,
      perRoute(
        "gateway_token_rejections_total", "Answers by which an upstream refused the token.", \.rejections),
      replays,
    ]
  }

  private var requests: MetricFamily {
    let name = "gateway_requests_total"
    return MetricFamily(
      name: name, type: .counter, help: "Requests that are over, by the class of the status that the caller got.",
      rows: routeRows
    ) { row, text in
      let route = counters.route(row)
      if isSilent(row, route.requests) { return }
      let labels = names.labels(ofRoute: row)
      for (status, value) in zip(StatusClass.allCases, route.statuses) {
        text.sample(name, labels.adding("status", status.label), value)
      }
    }
  }

  private var errors: MetricFamily {
    let name = "gateway_errors_total"
    return MetricFamily(
      name: name, type: .counter, help: "Requests that the gateway answered itself, or cut off, by reason.",
      rows: layout.isDetailed ? routeRows : 1
    ) { row, text in
      if layout.isDetailed, names.goneRoutes.contains(row) { return }
      for reason in ErrorReason.allCases {
        let value = counters.errors(ofRoute: row, reason)
        // Most reasons never come up on most routes.
        if value == 0 { continue }
        let labels = names.labels(ofRoute: layout.isDetailed ? row : layout.noRoute)
        text.sample(
          name, labels.adding("reason", reason.label).adding("source", reason.source.rawValue), value)
      }
    }
  }

  private var replays: MetricFamily {
    let name = "gateway_replays_total"
    return MetricFamily(
      name: name, type: .counter, help: "Requests that were sent again with a new token, by what came of it.",
      rows: routeRows
    ) { row, text in
      let route = counters.route(row)
      let all = [
        ("accepted", route.replaysAccepted), ("rejected", route.replaysRejected), ("failed", route.replaysFailed),
      ]
      if isSilent(row, all.reduce(0) { $0 &+ $1.1 }) { return }
      let labels = names.labels(ofRoute: row)
      for (outcome, value) in all { text.sample(name, labels.adding("outcome", outcome), value) }
    }
  }
}
