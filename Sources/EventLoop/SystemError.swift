// A failed system call: which, and why. Errors of the operating system leave this module as this type only.
internal import CLinux
internal import Glibc

package struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The call that failed, for example `connect`.
  package var call: String
  package var errno: Int32

  package init(_ call: String, errno: Int32) {
    self.call = call
    self.errno = errno
  }

  /// Takes the thread's `errno`, right after the call.
  static func last(_ call: String) -> SystemError { SystemError(call, errno: Glibc.errno) }

  package var description: String {
    guard let text = unsafe strerror(errno) else { return "\(call): error \(errno)" }
    return unsafe "\(call): \(String(cString: text))"
  }

  /// The process or the machine has no more file descriptors.
  package var isOutOfDescriptors: Bool { errno == EMFILE || errno == ENFILE }

  /// Nobody listens at a Unix socket's path, or there is none.
  package var isNobody: Bool { errno == ENOENT || errno == ECONNREFUSED }

  /// It may succeed later, unchanged.
  package var isTryAgain: Bool { errno == EAGAIN || errno == ENOBUFS || errno == EINTR }
}
