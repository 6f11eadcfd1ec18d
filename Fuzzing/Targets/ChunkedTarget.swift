// Chunked bodies with their trailers: however the bytes arrive, the same body; and written again, the same body again.
internal import HTTPWire

enum ChunkedTarget {
  /// A body decoded as far as it goes.
  private struct Decoded: Equatable {
    var body: [UInt8] = []
    /// Where the trailer section starts.
    var trailers: Int?
    var error: WireError?
  }

  static func run(_ input: [UInt8]) {
    let whole = decode(input, pieces: [input.count])
    require(decode(input, pieces: [Int](repeating: 1, count: input.count)) == whole, "byte by byte it is another body")
    var generator = Cuts.Generator(input)
    for largest in [3, 17, 200] {
      var pieces: [Int] = []
      var rest = input.count
      while rest > 0 {
        pieces.append(min(rest, Int.random(in: 1...largest, using: &generator)))
        rest -= pieces[pieces.count - 1]
      }
      require(decode(input, pieces: pieces) == whole, "in pieces \(pieces) it is another body")
    }
    guard let start = whole.trailers else { return }
    let section = Array(input[start...])
    for limits in [HeadLimits(), HeadLimits(bytes: 60, fields: 2)] {
      Outcome<TrailerSection>.requireConsistency(of: section, count: \.count) { parse($0, limits) }
    }
    guard case .head(let trailers) = parse(section.span, HeadLimits()) else { return }
    requireSame(whole.body, trailers, section)
  }

  private static func decode(_ input: [UInt8], pieces: [Int]) -> Decoded {
    var decoder = ChunkedDecoder()
    var result = Decoded()
    var start = 0
    for count in pieces {
      let piece = input.span.extracting(start..<start + count)
      var offset = 0
      feeding: while true {
        let event: ChunkEvent
        do {
          event = try decoder.next(piece, from: offset)
        } catch {
          result.error = error
          return result
        }
        switch event {
        case .data(let range):
          require(range.lowerBound >= offset && !range.isEmpty && range.upperBound <= count, "data at \(range)")
          result.body += input[start + range.lowerBound..<start + range.upperBound]
          offset = range.upperBound
        case .needMore: break feeding
        case .trailers(let at):
          require(decoder.isDone && at >= offset && at <= count, "trailers at \(at)")
          result.trailers = start + at
          return result
        }
      }
      start += count
    }
    return result
  }

  private static func parse(_ bytes: Span<UInt8>, _ limits: HeadLimits) -> Outcome<TrailerSection> {
    var section = TrailerSection()
    do {
      return try section.parse(bytes, limits: limits) == nil ? .incomplete : .head(section)
    } catch {
      return .failed(error)
    }
  }

  private static func requireSame(_ body: [UInt8], _ trailers: TrailerSection, _ section: [UInt8]) {
    let room = body.count + ChunkWriter.overhead + HeadWriter.capacity(of: trailers.fields) + 8
    let written = [UInt8](capacity: room) { out in
      if !body.isEmpty {
        ChunkWriter.writeSizeLine(body.count, into: &out)
        out.append(copying: body.span)
        out.append(ChunkWriter.dataEnd)
      }
      out.append(ChunkWriter.lastChunk)
      HeadWriter.writeFields(trailers.fields, of: section.span, into: &out)
      out.append(ChunkWriter.dataEnd)
    }
    let again = decode(written, pieces: [written.count])
    require(again.error == nil && again.body == body, "written and read again it is another body")
    guard let start = again.trailers else { return require(false, "written again it has no end") }
    let sectionAgain = Array(written[start...])
    guard case .head(let trailersAgain) = parse(sectionAgain.span, HeadLimits(bytes: written.count + 1, fields: 200))
    else { return require(false, "the trailers cannot be read again") }
    require(trailersAgain.count == sectionAgain.count, "bytes are left behind the trailers")
    require(
      FieldText.kept(trailers.fields, of: section) == FieldText.kept(trailersAgain.fields, of: sectionAgain),
      "other trailers")
  }
}
