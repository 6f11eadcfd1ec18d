// One transfer: an easy handle with every option that a token call sets, and the callbacks that collect its answer.

internal import CCurl
internal import Glibc
internal import TokenKit

/// A transfer that was set up, from its handle's making to its end. Confined to the control loop.
///
/// Safety: libcurl is given this object's address, `body` and `lists`, which it uses until `curl_easy_cleanup`. All of
/// them live until `deinit`, which cleans the handle up first; `CurlMulti` keeps the object for as long as the
/// handle hangs on a multi handle. libcurl calls back only from within calls made on the control loop.
@safe
final class CurlAttempt {
  let call: GrantCall
  let easy: UnsafeMutableRawPointer
  private let body: UnsafeMutableRawPointer
  private let bodySize: Int
  private var lists: [UnsafeMutablePointer<curl_slist>] = unsafe []
  private var collector = ResponseCollector()
  private var isRequestStarted = false

  /// Sets everything up; nothing is sent before the handle is added to a multi handle.
  /// - Parameters:
  ///   - resolveEntry: the peer's addresses for CURLOPT_RESOLVE; nil for a peer that is an address.
  ///   - timeLeft: of the call's total time.
  init(_ call: GrantCall, resolveEntry: String?, timeLeft: Duration) throws(GrantTransportFailure) {
    guard let handle = unsafe curl_easy_init() else { throw Self.setupFailed(CURLE_OUT_OF_MEMORY) }
    self.call = call
    unsafe easy = unsafe handle
    let text = call.body.reveal().utf8
    bodySize = text.count
    unsafe body = .allocate(byteCount: max(1, bodySize), alignment: 1)
    unsafe UnsafeMutableRawBufferPointer(start: body, count: bodySize).copyBytes(from: text)
    try setConnection(resolveEntry: resolveEntry, timeLeft: timeLeft)
    try setTLS()
    try setRequest()
    try setCallbacks()
  }

  deinit {
    unsafe curl_easy_cleanup(easy)
    unsafe explicit_bzero(body, bodySize)
    unsafe body.deallocate()
    for index in unsafe lists.indices { unsafe ccurl_list_wipe_free(lists[index]) }
  }

  /// What came of it, once libcurl has said that the transfer is over.
  func outcome(_ result: CURLcode, now: WallTime) -> Result<GrantResponse, GrantTransportFailure> {
    if result == CURLE_OK {
      guard collector.isHeadComplete else { return .failure(failure("incomplete_response")) }
      return .success(collector.response(status: unsafe ccurl_get_long(easy, CURLINFO_RESPONSE_CODE), now: now))
    }
    return .failure(
      CurlOutcome(
        result: result, isRequestStarted: isRequestStarted, isTLS: call.url.isTLS,
        requestSize: unsafe ccurl_get_long(easy, CURLINFO_REQUEST_SIZE),
        systemError: Int32(clamping: unsafe ccurl_get_long(easy, CURLINFO_OS_ERRNO)),
        proxyStatus: unsafe ccurl_get_long(easy, CURLINFO_HTTP_CONNECTCODE), isOverLimit: collector.isOverLimit
      ).failure)
  }

  /// A failure that did not come from libcurl.
  func failure(_ code: String) -> GrantTransportFailure {
    GrantTransportFailure(code: code, mayHaveBeenSent: isRequestStarted)
  }

  // MARK: Options

  private func setConnection(resolveEntry: String?, timeLeft: Duration) throws(GrantTransportFailure) {
    try set(CURLOPT_NOSIGNAL, 1)
    try set(CURLOPT_VERBOSE, 0)
    try set(CURLOPT_URL, call.url.text)
    try set(CURLOPT_PATH_AS_IS, 1)
    try set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1)
    try set(CURLOPT_PROTOCOLS_STR, call.url.isTLS ? "https" : "http")
    try set(CURLOPT_REDIR_PROTOCOLS_STR, "https")
    try set(CURLOPT_FOLLOWLOCATION, 0)
    try set(CURLOPT_NETRC, Int(CURL_NETRC_IGNORED.rawValue))
    try set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    try set(CURLOPT_HTTP09_ALLOWED, 0)
    // The empty texts keep libcurl from looking into the environment.
    try set(CURLOPT_PROXY, call.proxy.map { "\($0.isTLS ? "https" : "http")://\($0.bracketedHost):\($0.port)" } ?? "")
    try set(CURLOPT_NOPROXY, "")
    try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
    try set(CURLOPT_HEADEROPT, Int(CURLHEADER_SEPARATE))
    if let resolveEntry { try set(CURLOPT_RESOLVE, [resolveEntry]) }
    let milliseconds = max(1, Int(timeLeft.nanoseconds / 1_000_000))
    try set(CURLOPT_TIMEOUT_MS, milliseconds)
    try set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds)
    try set(CURLOPT_HAPPY_EYEBALLS_TIMEOUT_MS, 250)
    // libcurl sends a request again by itself when a connection that it used before turns out to be dead.
    try set(CURLOPT_FRESH_CONNECT, call.spendsRefreshToken ? 1 : 0)
    try set(CURLOPT_FORBID_REUSE, call.spendsRefreshToken ? 1 : 0)
  }

  private func setTLS() throws(GrantTransportFailure) {
    try set(CURLOPT_SSL_VERIFYPEER, 1)
    try set(CURLOPT_SSL_VERIFYHOST, 2)
    try set(CURLOPT_PROXY_SSL_VERIFYPEER, 1)
    try set(CURLOPT_PROXY_SSL_VERIFYHOST, 2)
    try set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
    if let caFile = call.caFile {
      try set(CURLOPT_CAINFO, caFile)
      try set(CURLOPT_PROXY_CAINFO, caFile)
    }
    // The multi handle keeps the parsed authorities (30 ms of work) only for handles that have a file and no
    // directory. One multi handle serves one file: see CurlTransport.
    if call.caFile != nil || CurlLibrary.hasDefaultCAFile {
      try set(CURLOPT_CAPATH, nil)
      try set(CURLOPT_PROXY_CAPATH, nil)
    }
    try set(CURLOPT_CA_CACHE_TIMEOUT, 3600)
  }

  private func setRequest() throws(GrantTransportFailure) {
    try set(CURLOPT_POST, 1)
    try check(unsafe ccurl_set_off(easy, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bodySize)))
    try check(unsafe ccurl_set_pointer(easy, CURLOPT_POSTFIELDS, body))
    try set(CURLOPT_HTTPHEADER, call.headerLines.map { $0.reveal() })
  }

  private func setCallbacks() throws(GrantTransportFailure) {
    let this = unsafe Unmanaged.passUnretained(self).toOpaque()
    try check(unsafe ccurl_set_pointer(easy, CURLOPT_HEADERDATA, this))
    try check(unsafe ccurl_set_data_function(easy, CURLOPT_HEADERFUNCTION, Self.onHeader))
    try check(unsafe ccurl_set_pointer(easy, CURLOPT_WRITEDATA, this))
    try check(unsafe ccurl_set_data_function(easy, CURLOPT_WRITEFUNCTION, Self.onBody))
    try check(unsafe ccurl_set_pointer(easy, CURLOPT_PREREQDATA, this))
    try check(unsafe ccurl_set_prereq_function(easy, Self.onRequest))
  }

  private func set(_ option: CURLoption, _ value: Int) throws(GrantTransportFailure) {
    try check(unsafe ccurl_set_long(easy, option, value))
  }

  private func set(_ option: CURLoption, _ value: String?) throws(GrantTransportFailure) {
    guard let value else { return try check(unsafe ccurl_set_text(easy, option, nil)) }
    try check(unsafe ccurl_set_text(easy, option, value))
  }

  private func set(_ option: CURLoption, _ lines: [String]) throws(GrantTransportFailure) {
    var list: UnsafeMutablePointer<curl_slist>?
    for line in lines {
      guard let longer = unsafe curl_slist_append(list, line) else {
        unsafe ccurl_list_wipe_free(list)
        throw Self.setupFailed(CURLE_OUT_OF_MEMORY)
      }
      unsafe list = unsafe longer
    }
    if let list = unsafe list { unsafe lists.append(list) }
    try check(unsafe ccurl_set_list(easy, option, list))
  }

  private func check(_ code: CURLcode) throws(GrantTransportFailure) {
    if code != CURLE_OK { throw Self.setupFailed(code) }
  }

  private static func setupFailed(_ code: CURLcode) -> GrantTransportFailure {
    let isOurs = code == CURLE_OUT_OF_MEMORY
    return GrantTransportFailure(
      code: isOurs ? "out_of_memory" : "curl_setup_\(code.rawValue)", mayHaveBeenSent: false, isMisconfigured: !isOurs)
  }

  // MARK: Callbacks

  // Safety of the three: `user` is the address of the attempt whose handle is at work, see the type; `data` is good for
  // `size * count` bytes during the call.

  private static let onHeader: ccurl_data_function = { data, size, count, user in
    guard let data = unsafe data, let user = unsafe user else { return 0 }
    let bytes = unsafe UnsafeRawBufferPointer(start: data, count: size * count)
    let attempt = unsafe Unmanaged<CurlAttempt>.fromOpaque(user).takeUnretainedValue()
    return attempt.collector.addLine(unsafe Span(_unsafeBytes: bytes)) ? size * count : 0
  }

  private static let onBody: ccurl_data_function = { data, size, count, user in
    guard let data = unsafe data, let user = unsafe user else { return 0 }
    let bytes = unsafe UnsafeRawBufferPointer(start: data, count: size * count)
    let attempt = unsafe Unmanaged<CurlAttempt>.fromOpaque(user).takeUnretainedValue()
    return attempt.collector.addBody(unsafe Span(_unsafeBytes: bytes)) ? size * count : 0
  }

  /// Called when a connection is there, right before the request: the second time it would be a repetition.
  private static let onRequest: curl_prereq_callback = { user, _, _, _, _ in
    guard let user = unsafe user else { return CURL_PREREQFUNC_ABORT }
    let attempt = unsafe Unmanaged<CurlAttempt>.fromOpaque(user).takeUnretainedValue()
    if attempt.isRequestStarted { return CURL_PREREQFUNC_ABORT }
    attempt.isRequestStarted = true
    return CURL_PREREQFUNC_OK
  }
}

extension HTTPURL {
  /// The host as URLs have it.
  fileprivate var bracketedHost: String { host.contains(":") ? "[\(host)]" : host }
}

/// libcurl as a whole.
enum CurlLibrary {
  /// Initialized once, before the first handle; thread-safe since 7.84.
  static let isReady = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  /// Whether this build of libcurl knows a file with the system's authorities.
  static let hasDefaultCAFile: Bool = {
    guard let version = unsafe ccurl_version() else { return false }
    return unsafe version.pointee.cainfo != nil
  }()
}
