// Metrics of credentials: what they have, what they did, who waits for them. With very many, only what is worth telling.
internal import TokenKit
internal import TokenService

extension MetricsReport {
  /// States and alarms counted while the credentials are gone through.
  private final class Census {
    var states: [CredentialStatus.State: UInt64] = [:]
  }

  private var credentialCount: Int { manager?.count ?? 0 }
  private var listsAll: Bool { credentialCount <= Self.fullListing }

  private func perCredential(
    _ name: String, _ type: MetricType, _ help: String,
    _ write: @escaping (CredentialStatus, MetricLabels, inout MetricsText) -> Void
  ) -> MetricFamily {
    MetricFamily(name: name, type: type, help: help, rows: credentialCount) { row, text in
      guard let status = manager?.status(of: row, at: now) else { return }
      write(status, MetricLabels(["credential": status.name]), &text)
    }
  }

  private func time(
    _ name: String, _ help: String, _ value: @escaping (CredentialStatus) -> WallTime?
  ) -> MetricFamily {
    perCredential(name, .gauge, help) { status, labels, text in
      if let time = value(status) { text.sample(name, labels, seconds: Self.nanoseconds(time)) }
    }
  }

  var credentialFamilies: [MetricFamily] {
    let states = "gateway_credentials"
    let serving = "gateway_credential_serving"
    let alarm = "gateway_credential_alarm"
    let census = Census()
    return [
      MetricFamily(
        name: states, type: .gauge, help: "How many credentials are in which state.", rows: credentialCount + 1
      ) { row, text in
        if row < credentialCount {
          if let state = manager?.status(of: row, at: now)?.state { census.states[state, default: 0] += 1 }
          return
        }
        for state in CredentialStatus.State.allCases {
          text.sample(states, MetricLabels(["state": state.rawValue]), census.states[state] ?? 0)
        }
      },
      perCredential(
        serving, .gauge, "1 when requests can be sent with the credential, or it rests until one comes; else 0."
      ) { if listsAll || !$0.isHealthy { $2.sample(serving, $1, $0.isHealthy ? 1 : 0) } },
      perCredential(alarm, .gauge, "1 while somebody should look at the credential for this reason.") {
        for known in CredentialAlarm.allCases {
          let isRaised = $0.alarms.contains(known)
          if listsAll || isRaised { $2.sample(alarm, $1.adding("alarm", known.rawValue), isRaised ? 1 : 0) }
        }
      },
      time("gateway_lease_expires_timestamp_seconds", "When the access token in use ends.") { $0.expires },
      time("gateway_refresh_token_expires_timestamp_seconds", "When the refresh token ends, if that is known.") {
        $0.refreshTokenEnd
      },
      time("gateway_refresh_last_success_timestamp_seconds", "When this process last obtained a token.") {
        $0.lastSuccess
      },
    ]
  }

  var refreshFamilies: [MetricFamily] {
    let results = "gateway_refreshes_total"
    let causes = "gateway_refresh_attempts_total"
    let calls = "gateway_token_call_duration_seconds"
    return [
      perCredential(results, .counter, "Refreshes that are over, by result.") { status, labels, text in
        let counts = credentialCounters.counts(of: status.name)?.results
        for (place, result) in CredentialCounters.Result.allCases.enumerated() {
          let value = counts?[place] ?? 0
          if listsAll || value > 0 { text.sample(results, labels.adding("result", result.rawValue), value) }
        }
      },
      MetricFamily(
        name: causes, type: .counter, help: "Refreshes that were begun, of all credentials, by cause."
      ) { _, text in
        for cause in GrantCause.allCases {
          text.sample(causes, MetricLabels(["cause": cause.rawValue]), credentialCounters.causes[cause] ?? 0)
        }
      },
      MetricFamily(
        name: calls, type: .histogram, help: "Time that calls of token endpoints took, answered or not.",
        rows: credentialCounters.isDetailed ? credentialCount : 1
      ) { row, text in
        var name = ""
        var counts = credentialCounters.calls
        if credentialCounters.isDetailed {
          guard let status = manager?.status(of: row, at: now) else { return }
          name = status.name
          counts = credentialCounters.counts(of: name)?.calls ?? HistogramCounts()
          if counts.count == 0, credentialCount > Self.fullHistograms { return }
        }
        text.histogram(
          calls, MetricLabels(["credential": name]), bounds: TimeBuckets.bounds, counts: counts.buckets,
          sum: counts.sum)
      },
    ]
  }

  var parkFamilies: [MetricFamily] {
    func family(_ name: String, _ type: MetricType, _ help: String, _ value: @escaping (Int) -> UInt64) -> MetricFamily
    {
      MetricFamily(name: name, type: type, help: help, rows: names.credentials.count) { row, text in
        if names.goneCredentials.contains(row) { return }
        let value = value(row)
        if value == 0, names.credentials.count > Self.fullListing { return }
        text.sample(name, MetricLabels(["credential": names.credentials[row]]), value)
      }
    }
    return [
      family("gateway_parked_requests", .gauge, "Requests that wait for a token.") {
        UInt64(max(0, leases.parked($0)))
      },
      family("gateway_parks_total", .counter, "Requests that had to wait for a token.") {
        counters.credential($0, .parks)
      },
      family("gateway_park_timeouts_total", .counter, "Requests that waited for a token in vain.") {
        counters.credential($0, .parkTimeouts)
      },
    ]
  }
}
