// `/metrics`: the answer to a scrape.

/// Handlers; on the control loop.
struct AdminMetrics {
  private unowned let plane: ControlPlane

  init(_ plane: ControlPlane) { self.plane = plane }

  func scrape(_ request: AdminRequest, _ responder: AdminResponder) {
    plane.metricsReport { responder.stream(AdminStream(contentType: MetricsText.contentType, source: $0.page)) }
  }
}
