// Dates and waiting times of HTTP fields.
import Testing
import TokenKit

@testable import TokenService

@Suite("Transport: dates")
struct HTTPDateTests {
  @Test(
    "IMF-fixdate",
    arguments: [
      ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
      ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799), ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
      ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000), ("Fri, 31 Dec 2100 00:00:00 GMT", 4_133_894_400),
      ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800), ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
    ])
  func valid(text: String, seconds: Int64) {
    #expect(HTTPDate.parse(text) == WallTime(milliseconds: seconds * 1000))
  }

  @Test(
    "Everything else is no date",
    arguments: [
      "", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000", "Sunday, 06-Nov-94 08:49:37 GMT",
      "Sun Nov  6 08:49:37 1994", "sun, 06 Nov 1994 08:49:37 GMT", "Mon, 06 Nov 1994 08:49:37 GMT",
      "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
      "Sun, 06 Nov 1994 08:60:37 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Wed, 30 Feb 2000 00:00:00 GMT",
      "Wed, 29 Feb 2023 00:00:00 GMT", "Mon, 29 Feb 2100 00:00:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
      "Wed, 31 Dec 1969 23:59:59 GMT", " Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT ",
      "Sun, 06 Nov 1994 08:49:37 GM\u{e9}", "Sun, +6 Nov 1994 08:49:37 GMT",
    ])
  func invalid(text: String) {
    #expect(HTTPDate.parse(text) == nil)
  }

  @Test(
    "Retry-After",
    arguments: [
      ("0", .zero), ("120", .seconds(120)), ("007", .seconds(7)), ("99999999999999999999", .seconds(365 * 86_400)),
      ("Sun, 06 Nov 1994 08:50:37 GMT", .seconds(60)), ("Sun, 06 Nov 1994 08:48:37 GMT", .zero),
      ("", nil), ("-1", nil), ("+1", nil), ("1.5", nil), ("1 ", nil), ("1s", nil), ("٣", nil),
    ] as [(String, Duration?)])
  func retryAfter(text: String, expected: Duration?) {
    #expect(RetryAfter.parse(text, now: WallTime(milliseconds: 784_111_777_000)) == expected)
  }
}
