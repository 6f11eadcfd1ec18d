// Writing numbers, lines and field tables.
import HTTPWire
import Testing

@Suite("Writing")
struct WriterTests {
  private func text(capacity: Int, _ body: (inout OutputSpan<UInt8>) -> Void) throws -> String {
    String(decoding: try written(capacity: capacity) { body(&$0) }, as: UTF8.self)
  }

  @Test(
    "numbers", arguments: [0, 1, 9, 10, 15, 16, 99, 100, 255, 256, 4095, 4096, 1 << 60, UInt64.max - 1, UInt64.max])
  func numbers(value: UInt64) throws {
    #expect(try text(capacity: 20) { $0.appendDecimal(value) } == String(value))
    #expect(try text(capacity: 16) { $0.appendHex(value) } == String(value, radix: 16))
    #expect(
      try text(capacity: HeadWriter.contentLengthCapacity) { HeadWriter.writeContentLength(value, into: &$0) }
        == "Content-Length: \(value)\r\n")
  }

  @Test("chunk size lines fit their capacity", arguments: [1, 15, 16, 65536, Int.max])
  func sizeLine(count: Int) throws {
    #expect(
      try text(capacity: ChunkWriter.sizeLineCapacity) { ChunkWriter.writeSizeLine(count, into: &$0) }
        == String(count, radix: 16) + "\r\n")
  }

  @Test("request and status lines fit their capacities exactly")
  func lines() throws {
    let method = Array("POST".utf8)
    let target = Array("/a/b?c".utf8)
    let line = try text(capacity: HeadWriter.capacity(method: 4, target: 6)) {
      HeadWriter.writeRequestLine(method: method.span, target: target.span, into: &$0)
      #expect($0.freeCapacity == 0)
    }
    #expect(line == "POST /a/b?c HTTP/1.1\r\n")
    let parts = try text(capacity: HeadWriter.capacity(method: 4, target: 6)) {
      HeadWriter.writeRequestLine(
        method: method.span, path: target.span.extracting(0..<4), query: target.span.extracting(4..<6), into: &$0)
    }
    #expect(parts == line)
    let reason = Array("Not Found".utf8)
    let status = try text(capacity: HeadWriter.capacity(reason: 9)) {
      HeadWriter.writeStatusLine(404, reason: reason.span, into: &$0)
      #expect($0.freeCapacity == 0)
    }
    #expect(status == "HTTP/1.1 404 Not Found\r\n")
    let none: [UInt8] = []
    #expect(
      try text(capacity: HeadWriter.capacity(reason: 0)) {
        HeadWriter.writeStatusLine(99, reason: none.span, into: &$0)
      } == "HTTP/1.1 099 \r\n")
  }

  struct Row: Sendable, CustomTestStringConvertible {
    let rule: String
    let fields: String
    var skipped: FieldNameSet = []
    let written: String
    var testDescription: String { rule }
  }

  static let rows: [Row] = [
    Row(rule: "as they are", fields: "A: b\r\nC: d\r\n", written: "A: b\r\nC: d\r\n"),
    Row(rule: "with one space", fields: "A:b\r\nC: \t d \r\nE: f\r\n", written: "A: b\r\nC: d\r\nE: f\r\n"),
    Row(rule: "tab for the space", fields: "A:\tb\r\n", written: "A: b\r\n"),
    Row(rule: "space before the colon", fields: "A :b\r\nC  :\r\n", written: "A: b\r\nC: \r\n"),
    Row(rule: "empty values", fields: "A:\r\nB: \r\nC: d\r\n", written: "A: \r\nB: \r\nC: d\r\n"),
    Row(rule: "first dropped", fields: "Connection: x\r\nA: b\r\n", written: "A: b\r\n"),
    Row(rule: "last dropped", fields: "A: b\r\nUpgrade: x\r\n", written: "A: b\r\n"),
    Row(rule: "middle dropped", fields: "A: b\r\nTE: x\r\nC: d\r\nE: f\r\n", written: "A: b\r\nC: d\r\nE: f\r\n"),
    Row(rule: "all dropped", fields: "TE: b\r\nUpgrade: x\r\n", written: ""),
    Row(
      rule: "skipped by name", fields: "Date: x\r\nA: b\r\nServer: y\r\nC:d\r\ndate: z\r\n",
      skipped: [FieldNameSet(.date), FieldNameSet(.server)], written: "A: b\r\nC: d\r\n"),
    Row(
      rule: "the last known name can be skipped", fields: "Content-Type: x\r\nA: b\r\n",
      skipped: FieldNameSet(.contentType), written: "A: b\r\n"),
    Row(rule: "no fields", fields: "", written: ""),
  ]

  @Test("fields", arguments: rows)
  func fields(_ row: Row) throws {
    let source = "HTTP/1.1 200 OK\r\n\(row.fields)\r\n"
    let head = try response(source)
    let bytes = Array(source.utf8)
    #expect(
      try text(capacity: HeadWriter.capacity(of: head.fields)) {
        HeadWriter.writeFields(head.fields, of: bytes.span, skipping: row.skipped, into: &$0)
      } == row.written)
  }

  @Test("a field of ours")
  func field() throws {
    let value = Array("1.1 x".utf8)
    let line = try text(capacity: HeadWriter.capacity(name: 3, value: 5)) {
      HeadWriter.writeField(name: "Via", value: value.span, into: &$0)
      #expect($0.freeCapacity == 0)
    }
    #expect(line == "Via: 1.1 x\r\n")
  }

  @Test("random field tables are written as they would be line by line", arguments: 0..<100)
  func property(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    var source = "HTTP/1.1 200 OK\r\n"
    for number in 0..<Int.random(in: 0...12, using: &random) {
      let name = ["Server", "X-\(number)", "Upgrade", "A"].randomElement(using: &random) ?? ""
      let before = ["", "", " "].randomElement(using: &random) ?? ""
      let after = [" ", " ", "", "\t", "  "].randomElement(using: &random) ?? ""
      source += "\(name)\(before):\(after)\(["", "v", "v w"].randomElement(using: &random) ?? "")\r\n"
    }
    source += "\r\n"
    let head = try response(source)
    let bytes = Array(source.utf8)
    let expected = head.fields.filter { !$0.isDropped && $0.known != .server }
      .map { "\($0.name.text(source)): \($0.value.text(source))\r\n" }.joined()
    #expect(
      try text(capacity: HeadWriter.capacity(of: head.fields)) {
        HeadWriter.writeFields(head.fields, of: bytes.span, skipping: FieldNameSet(.server), into: &$0)
      } == expected)
  }
}
