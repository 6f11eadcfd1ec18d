// What the kernel knows of a process's sockets: neither side's opinion.
import EventLoop
import GatewayTesting

enum KernelTable {
  /// Connections that callers have with the gateway, or that it keeps although they are gone.
  static func connections(to address: SocketAddress) -> Int {
    let port = String(address.port, radix: 16, uppercase: true)
    let lines = (TemporaryDirectory.read("/proc/net/tcp") ?? "").split(separator: "\n").dropFirst()
    return lines.count { line in
      let parts = line.split(separator: " ")
      // ESTABLISHED, CLOSE_WAIT
      return parts.count > 3 && parts[1].hasSuffix(":" + String(repeating: "0", count: 4 - port.count) + port)
        && (parts[3] == "01" || parts[3] == "08")
    }
  }
}
