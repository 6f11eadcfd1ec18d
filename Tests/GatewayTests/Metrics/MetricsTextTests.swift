// The lines of the text format, against its rules: https://prometheus.io/docs/instrumenting/exposition_formats/
import Testing

@testable import Gateway

@Suite struct MetricsTextTests {
  private static func text(_ write: (inout MetricsText) -> Void) -> String {
    var text = MetricsText()
    write(&text)
    return String(decoding: text.bytes, as: UTF8.self)
  }

  /// "label_value can be any sequence of UTF-8 characters, but \, " and line feed have to be escaped."
  @Test(arguments: [
    ("plain", "plain"), ("", ""), ("a\"b", "a\\\"b"), ("a\\b", "a\\\\b"), ("a\nb", "a\\nb"), ("\\n", "\\\\n"),
    ("{},=", "{},="), ("chè\t🍵", "chè\t🍵"),
  ]) func labelValuesAreEscaped(_ value: String, _ expected: String) {
    #expect(Self.text { $0.sample("m", MetricLabels(["l": value]), 1) } == "m{l=\"\(expected)\"} 1\n")
  }

  @Test func labelsStandInTheirOrder() {
    let labels = MetricLabels(["a": "1", "b": "2"]).adding("c", "\"")
    #expect(Self.text { $0.sample("m", labels, .max) } == "m{a=\"1\",b=\"2\",c=\"\\\"\"} 18446744073709551615\n")
    #expect(Self.text { $0.sample("m", MetricLabels(), 0) } == "m 0\n")
  }

  /// In help texts only \ and line feed are escaped.
  @Test func headers() {
    #expect(
      Self.text { $0.header("m_total", .counter, "A \"b\" \\ c\nd.") }
        == "# HELP m_total A \"b\" \\\\ c\\nd.\n# TYPE m_total counter\n")
  }

  @Test(
    arguments: [
      (0, "0"), (1, "0.000000001"), (500_000, "0.0005"), (1_000_000_000, "1"), (2_500_000_000, "2.5"),
      (1_700_000_000_123_000_000, "1700000000.123"), (-1_500_000_000, "-1.5"), (-1, "-0.000000001"),
      (.max, "9223372036.854775807"), (.min, "-9223372036.854775808"),
    ] as [(Int64, String)]) func nanosecondsAreSeconds(_ nanoseconds: Int64, _ expected: String)
  {
    #expect(MetricsText.seconds(nanoseconds) == expected)
  }

  /// Buckets are cumulative, the last is +Inf and equal to the count.
  @Test func histograms() {
    let text = Self.text {
      $0.histogram(
        "h", MetricLabels(["a": "b"]), bounds: [500_000, 1_000_000_000], counts: [2, 0, 3], sum: 7_250_000_000)
    }
    #expect(
      text == """
        h_bucket{a="b",le="0.0005"} 2
        h_bucket{a="b",le="1"} 2
        h_bucket{a="b",le="+Inf"} 5
        h_sum{a="b"} 7.25
        h_count{a="b"} 5

        """)
    let bare = Self.text { $0.histogram("h", MetricLabels(), bounds: [1], counts: [0, 0], sum: 0) }
    #expect(bare == "h_bucket{le=\"0.000000001\"} 0\nh_bucket{le=\"+Inf\"} 0\nh_sum 0\nh_count 0\n")
  }

  // MARK: Pages

  @Test func aPageComesInPartsThatAreNeitherLargeNorLong() {
    let rows = 100_000
    let families = [
      MetricFamily(name: "silent", type: .gauge, help: "Nothing.", rows: rows) { _, _ in },
      MetricFamily(name: "loud", type: .gauge, help: "Much.", rows: rows) { row, text in
        text.sample("loud", MetricLabels(["row": "\(row)"]), UInt64(row))
      },
      MetricFamily(name: "none", type: .gauge, help: "No rows.", rows: 0) { _, _ in Issue.record("there is no row") },
    ]
    let page = MetricsPage(families)
    var parts: [[UInt8]] = []
    while !page.isComplete { parts.append(page.next()) }
    #expect(parts.allSatisfy { $0.count < 17 * 1024 } && parts.count > 100 + 97)
    #expect(parts.filter(\.isEmpty).count > 90)
    let lines = String(decoding: parts.joined(), as: UTF8.self).split(separator: "\n")
    #expect(lines.count == rows + 6)
    #expect(
      lines.prefix(4).map(String.init) == [
        "# HELP silent Nothing.", "# TYPE silent gauge", "# HELP loud Much.", "# TYPE loud gauge",
      ])
    #expect(lines[4] == "loud{row=\"0\"} 0" && lines[rows + 3] == "loud{row=\"99999\"} 99999")
    #expect(MetricsPage(families).all() == Array(parts.joined()))
  }
}
