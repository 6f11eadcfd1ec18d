// Address blocks: which texts are, and which addresses lie in them.
import EventLoop
import Testing

@testable import Gateway

struct CIDRTests {
  @Test(
    "Inside and outside",
    arguments: [
      ("10.0.0.0/8", "10.255.255.255", true), ("10.0.0.0/8", "11.0.0.0", false), ("0.0.0.0/0", "1.2.3.4", true),
      ("0.0.0.0/0", "::1", false), ("::/0", "1.2.3.4", false), ("::/0", "fd00::1", true),
      ("192.168.1.7", "192.168.1.7", true), ("192.168.1.7", "192.168.1.6", false), ("127.0.0.0/31", "127.0.0.1", true),
      ("127.0.0.0/31", "127.0.0.2", false), ("10.0.0.0/8", "::ffff:10.1.2.3", true),
      ("::ffff:10.0.0.0/104", "10.9.9.9", true),
      ("fd00::/8", "fdff::1", true), ("fd00::/8", "fe00::1", false), ("2001:db8::/64", "2001:db8::ffff", true),
      ("2001:db8::/64", "2001:db8:0:1::", false), ("2001:db8::8/125", "2001:db8::f", true),
      ("2001:db8::8/125", "2001:db8::10", false), ("::1", "::1", true), ("::1", "::2", false),
    ])
  func contains(_ block: String, _ address: String, _ isInside: Bool) throws {
    let cidr = try CIDR.parse(block).get()
    #expect(cidr.contains(try #require(SocketAddress(numeric: address, port: 5))) == isInside)
  }

  @Test(
    "Not blocks",
    arguments: [
      "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.1/8", "::1/64",
      "::/129",
      "10.0/8", "example.com", "::ffff:10.0.0.0/95", "10.0.0.0/٨",
    ])
  func malformed(_ text: String) {
    #expect(throws: CIDR.Malformed.self) { try CIDR.parse(text).get() }
  }

  @Test func aUnixSocketLiesInNone() throws {
    #expect(!(try CIDR.parse("0.0.0.0/0").get().contains(.unix(path: "/x"))))
  }
}
