// Metrics of tracing.

extension MetricsReport {
  var tracingFamilies: [MetricFamily] {
    let dropped = "gateway_spans_dropped_total"
    return [
      single("gateway_spans_exported_total", .counter, "Spans that the collector has taken.", spans.exported),
      MetricFamily(name: dropped, type: .counter, help: "Spans that were lost, by reason.") { _, text in
        for loss in SpanLoss.allCases {
          let ofLoops = loss == .bufferFull ? counters[.spansDropped] : 0
          text.sample(dropped, MetricLabels(["reason": loss.rawValue]), spans.lost[loss, default: 0] &+ ofLoops)
        }
      },
    ]
  }
}
