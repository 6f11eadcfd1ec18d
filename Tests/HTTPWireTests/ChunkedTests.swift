// The chunked coding and its trailers (HTTP-RULES.md, "Chunk size", trailers).
import HTTPWire
import Testing

@Suite("Chunked")
struct ChunkedTests {
  /// What a body decodes to when it arrives in these pieces.
  struct Decoded: Equatable {
    var body: [UInt8] = []
    /// Where the trailer section starts, counted over all pieces.
    var trailers: Int?
    var error: WireError?
  }

  private func decode(_ pieces: [[UInt8]]) -> Decoded {
    var decoder = ChunkedDecoder()
    var result = Decoded()
    var before = 0
    for piece in pieces {
      var offset = 0
      loop: while true {
        do {
          switch try decoder.next(piece.span, from: offset) {
          case .data(let range):
            #expect(range.lowerBound >= offset && !range.isEmpty)
            result.body += piece[range]
            offset = range.upperBound
          case .needMore: break loop
          case .trailers(let at):
            result.trailers = before + at
            return result
          }
        } catch {
          result.error = error
          return result
        }
      }
      before += piece.count
    }
    return result
  }

  /// The same at every split in two, and byte by byte.
  private func decodeAtEverySplit(_ text: String) -> Decoded {
    let bytes = Array(text.utf8)
    let whole = decode([bytes])
    for split in 0...bytes.count {
      #expect(decode([Array(bytes[..<split]), Array(bytes[split...])]) == whole, "split at \(split)")
    }
    #expect(decode(bytes.map { [$0] }) == whole, "byte by byte")
    return whole
  }

  static let refusals: [Refusal] = [
    Refusal("empty size", "\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("empty size before an extension", ";a\r\n", .malformedChunkSize),
    Refusal("sign", "+5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("minus sign", "-5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("0x", "0x5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("underscore", "1_0\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("white space before", " 5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("tab before", "\t5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("vertical tab behind", "5\u{b}\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("NUL behind", "5\u{0}\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("no hexadecimal digit", "g\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("digits behind white space", "5 5\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("more than 16 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("more than 16 digits, overflow", "10000000000000000\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("LF-only size line", "5\nhello\r\n0\r\n\r\n", .bareLineFeed),
    Refusal("LF-only size line behind white space", "5 \nhello\r\n0\r\n\r\n", .bareLineFeed),
    Refusal("LF-only line behind an extension", "5;a\nhello\r\n0\r\n\r\n", .bareLineFeed),
    Refusal("LF for a size line", "\nhello\r\n0\r\n\r\n", .bareLineFeed),
    Refusal("CR CR LF behind the size", "5\r\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("bare CR behind the size", "5\rhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("bare CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("NUL in an extension", "5;a=\u{0}\r\nhello\r\n0\r\n\r\n", .malformedChunkSize),
    Refusal("LF inside a quoted extension", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", .bareLineFeed),
    Refusal("missing CRLF after the data", "5\r\nhello0\r\n\r\n", .malformedChunkEnd),
    Refusal("data longer than the size", "5\r\nhelloX\r\n0\r\n\r\n", .malformedChunkEnd),
    Refusal("LF-only after the data", "5\r\nhello\n0\r\n\r\n", .bareLineFeed),
    Refusal("CR without LF after the data", "5\r\nhello\r0\r\n\r\n", .malformedChunkEnd),
    Refusal("LF-only last chunk", "5\r\nhello\r\n0\n\r\n", .bareLineFeed),
    Refusal(
      "extension over 256 bytes in one line", "5;" + String(repeating: "a", count: 256) + "\r\nhello\r\n0\r\n\r\n",
      .chunkExtensionTooLong),
    Refusal(
      "white space over 256 bytes in one line", "5" + String(repeating: " ", count: 257) + "\r\nhello\r\n0\r\n\r\n",
      .chunkExtensionTooLong),
    Refusal(
      "extensions over 8 KiB in a message",
      String(repeating: "1;" + String(repeating: "a", count: 127) + "\r\nx\r\n", count: 64) + "1;\r\nx\r\n0\r\n\r\n",
      .chunkExtensionTooLong),
  ]

  @Test("is refused", arguments: refusals)
  func refused(_ row: Refusal) {
    let bytes = Array(row.input.utf8)
    let whole = decode([bytes])
    #expect(whole.error == row.error)
    #expect(whole.trailers == nil)
    #expect(decode(bytes.map { [$0] }) == whole)
    if bytes.count < 1000 { #expect(decodeAtEverySplit(row.input) == whole) }
  }

  static let accepted: [(input: String, body: String)] = [
    ("0\r\n", ""),
    ("0000000000000000\r\n", ""),
    ("5\r\nhello\r\n0\r\n", "hello"),
    ("0000000000000005\r\nhello\r\n0\r\n", "hello"),
    ("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n", "01234567890123456789"),
    ("3\r\n\r\n0\r\n2\r\n\r\n\r\n0\r\n", "\r\n0\r\n"),
    ("5;a;b=c;d=\"e\\\"\u{e9}\t\"\r\nhello\r\n0;x=y\r\n", "hello"),
    ("5 ; a\r\nhello\r\n0 \r\n", "hello"),
    ("5\t\r\nhello\r\n00  \r\n", "hello"),
    ("1;" + String(repeating: "a", count: 255) + "\r\nx\r\n0\r\n", "x"),
  ]

  @Test("is decoded at every split", arguments: accepted)
  func decoded(_ row: (input: String, body: String)) {
    let result = decodeAtEverySplit(row.input + "rest")
    #expect(result == Decoded(body: Array(row.body.utf8), trailers: row.input.utf8.count))
  }

  @Test("extensions of exactly 8 KiB in a message pass")
  func messageLimit() {
    let line = "1;" + String(repeating: "a", count: 127) + "\r\nx\r\n"
    let result = decode([Array((String(repeating: line, count: 64) + "0\r\n").utf8)])
    #expect(result.body.count == 64 && result.error == nil && result.trailers != nil)
  }

  @Test("a size that does not fit a signed number is refused", arguments: ["8000000000000000", "ffffffffffffffff"])
  func tooLarge(size: String) {
    var decoder = ChunkedDecoder()
    let bytes = Array("\(size)\r\nabc".utf8)
    #expect(throws: WireError(.malformedChunkSize)) { _ = try decoder.next(bytes.span, from: 0) }
  }

  @Test("the largest size is taken as it is")
  func largest() throws {
    var decoder = ChunkedDecoder()
    let bytes = Array("7fffffffffffffff\r\nabc".utf8)
    let event = try decoder.next(bytes.span, from: 0)
    #expect(event == .data(18..<21))
    #expect(decoder.remainingInChunk == UInt64(Int64.max) - 3 && !decoder.isDone)
    let more = try decoder.next(bytes.span, from: 21)
    #expect(more == .needMore)
  }

  @Test("after the end it stays at the end")
  func end() throws {
    var decoder = ChunkedDecoder()
    let bytes = Array("0\r\n\r\n".utf8)
    let event = try decoder.next(bytes.span, from: 0)
    let again = try decoder.next(bytes.span, from: 3)
    #expect(event == .trailers(at: 3) && again == event && decoder.isDone)
  }

  @Test("random bodies, in random chunks, in random pieces, come out whole", arguments: 0..<200)
  func property(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    let body = (0..<Int.random(in: 0...3000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    var encoded: [UInt8] = []
    var position = 0
    while position < body.count {
      let count = Int.random(in: 1...min(700, body.count - position), using: &random)
      encoded += try written(capacity: count + ChunkWriter.overhead) { out in
        ChunkWriter.writeSizeLine(count, into: &out)
        out.append(copying: body.span.extracting(position..<position + count))
        out.append(ChunkWriter.dataEnd)
      }
      position += count
    }
    let trailerStart = encoded.count + 3
    encoded += try written(capacity: 5) { $0.append(ChunkWriter.end) }

    var pieces: [[UInt8]] = []
    var start = 0
    while start < encoded.count {
      let count = min(Int.random(in: 0...300, using: &random), encoded.count - start)
      pieces.append(Array(encoded[start..<start + count]))
      start += count
    }
    #expect(decode(pieces) == Decoded(body: body, trailers: trailerStart))
  }
}
