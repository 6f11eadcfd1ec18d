// A small XML reader over expat, for replies. All unsafe code of the provider is here. No document type, so no
// entities but XML's own five; depth, size and number of elements are bounded.
import CExpat

/// An element, its text and its children. Names are without namespace prefix: the reply's namespaces are the vendor's
/// class names and say nothing.
struct XMLDocument: Equatable {
  /// The name without prefix.
  var name: String
  /// The character data directly inside, joined.
  var text: String
  /// In the order of the document.
  var children: [XMLDocument]

  /// Deepest nesting; a reply has four levels.
  static let maximumDepth = 32
  /// Most elements; a reply has 14 for each branch of the company.
  static let maximumElements = 100_000
  /// Most bytes, which is what the transport lets through.
  static let maximumBytes = 1024 * 1024

  /// The first child of a name.
  func child(_ name: String) -> XMLDocument? { children.first { $0.name == name } }

  /// The root element; nil for what is not well-formed, has a document type, or is beyond a bound.
  static func parse(_ text: ArraySlice<UInt8>) -> XMLDocument? {
    guard !text.isEmpty, text.count <= maximumBytes, let parser = unsafe XML_ParserCreate(nil) else { return nil }
    // Safe: the parser is used by this call only, and freed once, when nothing refers to it any more.
    defer { unsafe XML_ParserFree(parser) }
    let collector = unsafe XMLCollector(parser: parser)
    // Safe: expat keeps the reference only while it parses, and the collector lives until after that.
    unsafe XML_SetUserData(parser, Unmanaged.passUnretained(collector).toOpaque())
    unsafe XML_SetElementHandler(
      parser,
      { data, name, _ in unsafe XMLCollector.from(data)?.open(name) },
      { data, _ in unsafe XMLCollector.from(data)?.close() })
    unsafe XML_SetCharacterDataHandler(parser) { data, text, length in
      unsafe XMLCollector.from(data)?.append(text, Int(length))
    }
    // A document type is the door to entities, external files and exponential growth; no reply has one.
    unsafe XML_SetStartDoctypeDeclHandler(parser) { data, _, _, _, _ in unsafe XMLCollector.from(data)?.stop() }
    let status = withExtendedLifetime(collector) {
      unsafe text.withUnsafeBytes { bytes in
        // Safe: expat reads `count` bytes, which the buffer holds for the length of the call; `count` is below 2^31.
        unsafe XML_Parse(parser, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(bytes.count), 1)
      }
    }
    return status == XML_STATUS_OK ? collector.root : nil
  }
}

/// Builds the tree from expat's events. Lives for one parse, on the thread that parses. `@safe`: whoever has one cannot
/// get at the parser, and the methods that take C strings are called by expat's events alone.
@safe private final class XMLCollector {
  private(set) var root: XMLDocument?
  private var open: [XMLDocument] = []
  private var elements = 0
  private var stopped = false
  /// Safe: the parser outlives every event, and events are the only time at which it is used.
  private let parser: XML_Parser

  init(parser: XML_Parser) { unsafe self.parser = unsafe parser }

  /// Safe: `data` is what `parse` has set, a collector that lives until the parse is over.
  static func from(_ data: UnsafeMutableRawPointer?) -> XMLCollector? {
    unsafe data.map { unsafe Unmanaged<XMLCollector>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Ends the parse with an error. Expat may still deliver an event or two.
  func stop() {
    stopped = true
    _ = unsafe XML_StopParser(parser, 0)
  }

  /// Safe: expat's names are C strings in UTF-8 that are valid during the event.
  func open(_ name: UnsafePointer<CChar>?) {
    guard !stopped, let name = unsafe name else { return }
    elements += 1
    guard open.count < XMLDocument.maximumDepth, elements <= XMLDocument.maximumElements else { return stop() }
    let qualified = unsafe String(cString: name)
    let local = qualified.split(separator: ":", omittingEmptySubsequences: false).last.map(String.init) ?? qualified
    open.append(XMLDocument(name: local, text: "", children: []))
  }

  func close() {
    guard !stopped, let element = open.popLast() else { return }
    if open.isEmpty { root = element } else { open[open.count - 1].children.append(element) }
  }

  /// Safe: expat hands over `length` bytes of UTF-8 that are valid during the event.
  func append(_ text: UnsafePointer<CChar>?, _ length: Int) {
    guard !stopped, !open.isEmpty, let text = unsafe text else { return }
    let bytes = unsafe UnsafeRawBufferPointer(start: text, count: length)
    unsafe open[open.count - 1].text += String(decoding: bytes, as: UTF8.self)
  }
}
