// The body of a request to the admin listener: small, of a stated length or in chunks.
internal import HTTPWire

struct AdminBody {
  /// Bytes. A pair of tokens takes a few thousand.
  static let limit = 64 * 1024
  private static let trailerLimits = HeadLimits(bytes: 4096, fields: 16, target: 0)

  enum Failure: Error, Equatable {
    case tooLarge
    case malformed(WireError)

    var answer: AdminAnswer {
      switch self {
      case .tooLarge: .error(413, "a body has at most \(AdminBody.limit) bytes")
      case .malformed(let error): .error(error.status, error.rule.rawValue)
      }
    }
  }

  private enum Framing {
    case length(left: Int)
    case chunked(ChunkedDecoder)
  }

  private(set) var bytes: [UInt8] = []
  private var framing: Framing

  /// nil: there is none.
  init?(_ framing: BodyFraming) throws(Failure) {
    switch framing {
    case .none, .length(0), .untilClose: return nil
    case .length(let length):
      guard length <= UInt64(Self.limit) else { throw .tooLarge }
      self.framing = .length(left: Int(length))
    case .chunked: self.framing = .chunked(ChunkedDecoder())
    }
  }

  /// Takes what belongs to it from the start of `input`.
  /// - Returns: how many bytes it took, and whether it is complete.
  mutating func take(_ input: Span<UInt8>) throws(Failure) -> (taken: Int, isComplete: Bool) {
    switch framing {
    case .length(let left):
      let count = min(left, input.count)
      for index in 0..<count { bytes.append(input[index]) }
      framing = .length(left: left - count)
      return (count, count == left)
    case .chunked(var decoder):
      defer { framing = .chunked(decoder) }
      var offset = 0
      while true {
        switch try event(&decoder, input, offset) {
        case .data(let range):
          guard bytes.count + range.count <= Self.limit else { throw .tooLarge }
          for index in range { bytes.append(input[index]) }
          offset = range.upperBound
        case .needMore: return (input.count, false)
        case .trailers(let start):
          let count = try trailers(input.extracting(start..<input.count))
          return (start + (count ?? 0), count != nil)
        }
      }
    }
  }

  private func event(
    _ decoder: inout ChunkedDecoder, _ input: Span<UInt8>, _ offset: Int
  ) throws(Failure) -> ChunkEvent {
    do throws(WireError) { return try decoder.next(input, from: offset) } catch { throw .malformed(error) }
  }

  /// Nobody looks at them; nil: their end has not come.
  private func trailers(_ input: Span<UInt8>) throws(Failure) -> Int? {
    var section = TrailerSection()
    do throws(WireError) {
      return try section.parse(input, limits: Self.trailerLimits)
    } catch {
      throw .malformed(error)
    }
  }
}
