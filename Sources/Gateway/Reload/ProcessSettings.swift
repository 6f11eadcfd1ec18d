// What belongs to the process and can't change while it runs.
internal import TokenKit

enum ProcessSettings {
  private static let advice = "can't change while the gateway runs: restart it, or put the old value back"

  /// Everything of a new configuration that would need another process.
  static func changes(from old: GatewayConfiguration, to loaded: LoadedConfiguration) -> [SettingsProblem] {
    let new = loaded.configuration
    var problems: [SettingsProblem] = []
    if new.workers != old.workers {
      problems.append(loaded.problem("workers", "\(advice), \(old.workers)"))
    }
    if new.admin != old.admin { problems.append(loaded.problem("admin.address", "\(advice), \(old.admin)")) }
    switch (old.store.place, new.store.place) {
    case (.sqlite(let oldPath), .sqlite(let path)):
      if path != oldPath { problems.append(loaded.problem("store.path", "\(advice), \(oldPath)")) }
    case (.postgres(let oldURL), .postgres(let url)):
      // The URL holds a password.
      if url != oldURL { problems.append(loaded.problem("store.url", advice)) }
    default: problems.append(loaded.problem("store.kind", advice))
    }
    if new.handover != old.handover { problems.append(loaded.problem("handover", "\(advice), \(old.handover)")) }
    if new.store.cipher != old.store.cipher { problems.append(loaded.problem("store.encryption_key", advice)) }
    return problems
  }
}
