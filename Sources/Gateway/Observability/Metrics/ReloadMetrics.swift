// Metrics of reloads.
internal import TokenKit

/// How many reloads there were, and how the last one went. The start counts as a good one that was no reload.
struct ReloadCounts {
  var taken: UInt64 = 0
  var refused: UInt64 = 0
  var isLastGood = true
  var last: WallTime
}

extension MetricsReport {
  var reloadFamilies: [MetricFamily] {
    let total = "gateway_config_reloads_total"
    let time = "gateway_config_last_reload_timestamp_seconds"
    return [
      MetricFamily(name: total, type: .counter, help: "Reloads of the configuration, by result.") { _, text in
        text.sample(total, MetricLabels(["result": "success"]), reloads.taken)
        text.sample(total, MetricLabels(["result": "refused"]), reloads.refused)
      },
      single(
        "gateway_config_last_reload_successful", .gauge,
        "0 when the configuration file was refused at the last reload and an older one is in force, else 1.",
        reloads.isLastGood ? 1 : 0),
      MetricFamily(
        name: time, type: .gauge, help: "When the configuration file was last read, at the start or by a reload."
      ) { _, text in text.sample(time, MetricLabels(), seconds: Self.nanoseconds(reloads.last)) },
    ]
  }
}
