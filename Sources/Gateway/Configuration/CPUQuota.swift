// How many CPUs this process may use: the default of `workers`.

/// CPUs by affinity and by the control groups' `cpu.max`.
enum CPUQuota {
  /// The smaller of the two, at least 1; a part of a CPU counts as one, so that a quota of 1.5 can be used up.
  static func cpus(root: String = "") -> Int {
    func text(_ path: String) -> String? {
      // What isn't there (no cgroup v2, no /proc) sets no bound.
      guard let file = try? SystemFile.read(root + path, limit: 1 << 20) else { return nil }
      return String(decoding: file.bytes, as: UTF8.self)
    }
    var cpus = text("/proc/self/status").flatMap(allowed) ?? 1
    // A quota anywhere above holds too. Within a container's own namespace the path is `/`.
    var group = text("/proc/self/cgroup").flatMap(unifiedGroup) ?? "/"
    while true {
      if let quota = text("/sys/fs/cgroup\(group == "/" ? "" : group)/cpu.max").flatMap(quota) {
        cpus = min(cpus, max(1, Int(quota.rounded(.up))))
      }
      if group == "/" { return cpus }
      group = SystemFile.directory(of: group)
    }
  }

  /// The count of `Cpus_allowed_list:	0-3,8` in /proc/self/status.
  static func allowed(status: String) -> Int? {
    let key = "Cpus_allowed_list:"
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix(key) }) else { return nil }
    var count = 0
    for part in line.dropFirst(key.count).split(whereSeparator: { $0 == "," || $0.isWhitespace }) {
      let ends = part.split(separator: "-").compactMap { Int($0) }
      guard let first = ends.first, let last = ends.last, ends.count <= 2, first <= last else { return nil }
      count += last - first + 1
    }
    return count > 0 ? count : nil
  }

  /// The path behind `0::` in /proc/self/cgroup.
  static func unifiedGroup(_ text: String) -> String? {
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else { return nil }
    let path = line.dropFirst(3)
    // `/../x` is a group outside of this namespace, which /sys/fs/cgroup does not show.
    return path.contains("..") ? "/" : String(path)
  }

  /// CPUs of `cpu.max` ("150000 100000", "max 100000").
  static func quota(_ text: String) -> Double? {
    let parts = text.split(whereSeparator: \.isWhitespace)
    guard parts.count == 2, let quota = Double(parts[0]), let period = Double(parts[1]), quota > 0, period > 0,
      quota.isFinite
    else { return nil }
    return quota / period
  }
}
