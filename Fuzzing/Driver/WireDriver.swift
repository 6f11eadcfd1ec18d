// One line in, one line out. In: `request`, `response` or `response-to-head`, and the bytes of a message in hexadecimal.
// Out: `refused RULE`, `incomplete`, or `accepted` and what the message says, its texts in hexadecimal (`-`: empty):
// `keep=0|1 head=N body=… rest=N start=…,…,… framing=none|length|chunked|close fields=n:v,… trailers=n:v,…`.
// The body of a response that ends with the connection is all that is there.
internal import Glibc
internal import HTTPWire

enum WireDriver {
  static func run() {
    let limits = HeadLimits(bytes: 1 << 20, fields: 1000, target: 1 << 19)
    while let line = readLine() {
      let words = line.split(separator: " ", maxSplits: 1)
      let bytes = words.count == 2 ? Hex.decode(words[1]) : nil
      // The other end waits for the line.
      defer { fflush(nil) }
      guard let kind = words.first.flatMap({ Message.Kind(rawValue: String($0)) }), let bytes else {
        print("not understood")
        continue
      }
      print(answer(to: Message(kind: kind, bytes: bytes), limits))
    }
  }

  private static func answer(to message: Message, _ limits: HeadLimits) -> String {
    do throws(WireError) {
      return try message.reading(limits)?.line ?? "incomplete"
    } catch {
      return "refused \(error.rule.rawValue)"
    }
  }
}

enum Hex {
  static func decode(_ text: Substring) -> [UInt8]? {
    if text == "-" { return [] }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(text.utf8.count / 2)
    var high: UInt8?
    for character in text.utf8 {
      let digit: UInt8
      switch character {
      case 0x30...0x39: digit = character - 0x30
      case 0x61...0x66: digit = character - 0x57
      default: return nil
      }
      if let first = high {
        bytes.append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    return high == nil ? bytes : nil
  }

  static func encode(_ bytes: some Collection<UInt8>) -> String {
    if bytes.isEmpty { return "-" }
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count * 2)
    for byte in bytes {
      text.append(digits[Int(byte >> 4)])
      text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
  }
}
