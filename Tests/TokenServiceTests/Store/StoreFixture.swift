// A private directory for each test, sample rows, and a way to make the disk fail.
import FoundationEssentials
import Glibc
import Testing
import TokenKit

@testable import TokenService

/// A directory of mode 0700 that goes away with the object.
final class PrivateDirectory {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/gateway-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    try Self.setMode(path, 0o700)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func make(_ name: String, mode: mode_t) throws -> String {
    try FileManager.default.createDirectory(atPath: file(name), withIntermediateDirectories: false)
    try Self.setMode(file(name), mode)
    return file(name)
  }

  static func setMode(_ path: String, _ mode: mode_t) throws {
    try #require(unsafe chmod(path, mode) == 0)
  }

  static func mode(_ path: String) throws -> mode_t {
    var info = stat()
    try #require(unsafe stat(path, &info) == 0, "\(path) does not exist")
    return info.st_mode & 0o7777
  }
}

enum StoreFixture {
  static let secrets = ["access-token-1", "refresh-token-1"]

  static func fingerprint(_ seed: UInt8) throws -> Fingerprint {
    try #require(Fingerprint(bytes: (0..<32).map { $0 &+ seed }))
  }

  /// A row with every column set.
  static func row(_ name: String = "vinid", generation: UInt64 = 1, mark: InFlightMark? = nil) throws
    -> StoredCredential
  {
    StoredCredential(
      name: name, generation: generation, accessToken: Secret(secrets[0]), obtainedAt: WallTime(milliseconds: 1_000),
      expiresAt: WallTime(milliseconds: 3_601_000), lifetime: .milliseconds(3_599_500),
      refreshToken: Secret(secrets[1]), refreshTokenEnd: WallTime(milliseconds: 9_000_000),
      refreshTokenLifetime: .seconds(2_592_000), accessIdentity: try fingerprint(1),
      refreshIdentity: try fingerprint(2),
      mark: mark, needsLogin: StoredVerdict(reason: .lostReply, code: "invalid_grant", time: WallTime(milliseconds: 7)))
  }

  /// A row with every optional column empty.
  static func bareRow(_ name: String, generation: UInt64) throws -> StoredCredential {
    StoredCredential(
      name: name, generation: generation, accessToken: nil, obtainedAt: WallTime(milliseconds: -5),
      expiresAt: WallTime(milliseconds: 0), lifetime: .zero, refreshToken: nil, accessIdentity: try fingerprint(3),
      refreshIdentity: try fingerprint(4))
  }

  static func mark(generation: UInt64) throws -> InFlightMark {
    InFlightMark(
      owner: "process-a", generation: generation, time: WallTime(milliseconds: 5), fingerprint: try fingerprint(9))
  }

  static func open(_ path: String, waitingAtMost limit: Duration = .zero) throws(StoreError) -> SQLiteStore {
    try SQLiteStore(path: path, waitingAtMost: limit)
  }

  static func stored(_ store: SQLiteStore, _ name: String = "vinid") throws -> StoredCredential? {
    try store.load([StoreQuery(name: name, seed: nil)]).first?.row
  }

  /// A store with one row of generation 1 in its file, and an empty log: nothing needs to be read from there.
  static func seed(_ path: String) throws -> StoredCredential {
    let store = try open(path)
    let row = try row(generation: 1)
    #expect(try store.save(StoreSave(row: row, replacing: 0, fingerprints: [])) == .saved)
    try store.close()
    return row
  }

  /// The error that `body` throws.
  static func failure(_ body: () throws -> Void) throws -> StoreError {
    var caught: StoreError?
    do { try body() } catch let error as StoreError { caught = error }
    return try #require(caught, "nothing was thrown")
  }
}

/// Takes the place of an open file of this process: what the owner writes goes elsewhere until `restore`.
final class ReplacedDescriptor {
  private let fd: Int32
  private let saved: Int32

  /// - Parameters:
  ///   - path: the file whose descriptor is replaced.
  ///   - other: what takes its place, opened with `flags`.
  init(of path: String, by other: String, flags: Int32) throws {
    let links = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
    let number = links.first {
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) == path
    }
    fd = try #require(number.flatMap { Int32($0) }, "\(path) is not open")
    saved = dup(fd)
    let replacement = unsafe Glibc.open(other, flags | O_CLOEXEC)
    try #require(saved >= 0 && replacement >= 0)
    try #require(dup2(replacement, fd) == fd)
    close(replacement)
  }

  func restore() {
    dup2(saved, fd)
    close(saved)
  }
}
