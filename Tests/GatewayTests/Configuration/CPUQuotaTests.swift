// How many CPUs there are, from texts of the kernel.
import FoundationEssentials
import Testing

@testable import Gateway

struct CPUQuotaTests {
  @Test("Affinity", arguments: [("0", 1), ("0-3", 4), ("0-1,4,8-9", 5), ("3-1", nil), ("", nil), ("x", nil)])
  func affinity(_ list: String, _ count: Int?) {
    #expect(CPUQuota.allowed(status: "Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t\(list)\n") == count)
  }

  @Test(
    "cpu.max",
    arguments: [
      ("max 100000\n", nil), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("0 1", nil), ("nan 1", nil), ("", nil),
    ])
  func quota(_ text: String, _ cpus: Double?) { #expect(CPUQuota.quota(text) == cpus) }

  @Test(
    "The control group",
    arguments: [
      ("0::/\n", "/"), ("4:memory:/x\n0::/a/b\n", "/a/b"), ("0::/../x\n", "/"), ("1:cpu:/\n", nil),
    ])
  func group(_ text: String, _ path: String?) { #expect(CPUQuota.unifiedGroup(text) == path) }

  @Test(
    "The smallest quota on the way up counts, a part as one CPU",
    arguments: [
      (["/a/b": "max 100000", "/a": "250000 100000"], 3), (["/a/b": "10000 100000", "/a": "max 100000"], 1),
      (["": "800000 100000"], 4), ([:], 4),
    ])
  func tree(_ quotas: [String: String], _ cpus: Int) throws {
    let directory = try TemporaryDirectory()
    func write(_ path: String, _ text: String) throws {
      let url = URL(filePath: directory.path + path)
      try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url)
    }
    try write("/proc/self/status", "Cpus_allowed_list:\t0-3\n")
    try write("/proc/self/cgroup", "0::/a/b\n")
    for (group, text) in quotas { try write("/sys/fs/cgroup\(group)/cpu.max", text) }
    #expect(CPUQuota.cpus(root: directory.path) == cpus)
  }

  @Test func thisMachineHasAtLeastOne() { #expect(CPUQuota.cpus() >= 1) }
}
