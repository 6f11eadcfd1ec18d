// multipart/form-data (RFC 7578) with a boundary that is computed, not drawn: equal fields give equal bytes.

/// A form as multipart. Field names are the provider's own and need no escaping.
struct MultipartForm {
  /// The Content-Type with the boundary in it.
  let contentType: String
  /// All parts, CRLF line ends.
  let body: String

  init(_ fields: [(name: String, value: String)]) {
    // RFC 2046 §5.1.1: the boundary must not occur in the parts. Values are finite, so some number is free.
    var number = 0
    var boundary = "gateway-form-0"
    while fields.contains(where: { $0.value.utf8.contains(boundary.utf8) }) {
      number += 1
      boundary = "gateway-form-\(number)"
    }
    var body = ""
    for (name, value) in fields {
      body += "--\(boundary)\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n"
    }
    self.body = body + "--\(boundary)--\r\n"
    contentType = "multipart/form-data; boundary=\(boundary)"
  }
}
