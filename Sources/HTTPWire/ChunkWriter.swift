// Writing the chunked transfer coding (RFC 9112 §7.1).

/// Chunks are written as: size line, data, line end; the body as: chunks, last chunk, trailer fields, empty line.
package enum ChunkWriter {
  /// Most bytes of a size line: 16 digits and a line end.
  package static let sizeLineCapacity = 18
  /// Most bytes that a chunk adds to its data.
  package static let overhead = sizeLineCapacity + 2

  /// Writes the size line of a chunk. `count` is not 0: that would be the last chunk.
  package static func writeSizeLine(_ count: Int, into out: inout OutputSpan<UInt8>) {
    precondition(count > 0, "an empty chunk ends the body")
    out.appendHex(UInt64(count))
    out.append("\r\n" as StaticString)
  }

  /// Behind a chunk's data.
  package static let dataEnd: StaticString = "\r\n"
  /// The end of a body without trailers.
  package static let end: StaticString = "0\r\n\r\n"
  /// The end of a body before trailer fields, which end with `dataEnd`, the empty line.
  package static let lastChunk: StaticString = "0\r\n"
}
