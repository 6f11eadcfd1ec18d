// What a malformed message is refused with: the status for a request, and the rule that it broke.

/// A violation of the HTTP/1.1 wire format. For a request `status` is the answer; a response that violates is a 502.
package struct WireError: Error, Sendable, Equatable {
  package var status: UInt16
  package var rule: WireRule

  package init(_ rule: WireRule, status: UInt16 = 400) {
    self.rule = rule
    self.status = status
  }
}

/// The rules of RFC 9110 and RFC 9112 that the parsers enforce. The raw value can stand in a log line and in `Proxy-Status`.
package enum WireRule: String, Sendable, CaseIterable {
  case malformedRequestLine = "malformed_request_line"
  case malformedStatusLine = "malformed_status_line"
  case malformedVersion = "malformed_version"
  case unsupportedVersion = "unsupported_version"
  case methodNotAllowed = "method_not_allowed"
  case malformedTarget = "malformed_target"
  case targetTooLong = "target_too_long"
  case headTooLarge = "head_too_large"
  case tooManyFields = "too_many_fields"
  case bareLineFeed = "bare_line_feed"
  case malformedFieldName = "malformed_field_name"
  case spaceBeforeColon = "space_before_colon"
  case lineFolding = "line_folding"
  case malformedFieldValue = "malformed_field_value"
  case malformedContentLength = "malformed_content_length"
  case repeatedContentLength = "repeated_content_length"
  case malformedTransferEncoding = "malformed_transfer_encoding"
  case unsupportedTransferCoding = "unsupported_transfer_coding"
  case transferEncodingInHTTP10 = "transfer_encoding_in_http_1_0"
  case lengthAndTransferEncoding = "content_length_with_transfer_encoding"
  case missingHost = "missing_host"
  case repeatedHost = "repeated_host"
  case malformedHost = "malformed_host"
  case hostMismatch = "host_mismatch"
  case forbiddenConnectionOption = "forbidden_connection_option"
  case unknownExpectation = "unknown_expectation"
  case malformedChunkSize = "malformed_chunk_size"
  case chunkExtensionTooLong = "chunk_extension_too_long"
  case malformedChunkEnd = "malformed_chunk_end"
  case malformedTrailer = "malformed_trailer"
  case ambiguousPath = "ambiguous_path"
}
