// Random numbers for the ids of traces and spans: xoshiro256++ (https://prng.di.unimi.it/), which asks the system once.

/// Confined to its loop. Not for secrets.
struct SpanRandom: RandomNumberGenerator {
  private var state: (UInt64, UInt64, UInt64, UInt64)

  /// Seeded by the system.
  init() {
    var system = SystemRandomNumberGenerator()
    self.init(seed: (system.next(), system.next(), system.next(), system.next()))
  }

  /// The same numbers again; all zeros would give nothing else.
  init(seed: (UInt64, UInt64, UInt64, UInt64)) {
    state = seed
    if seed.0 | seed.1 | seed.2 | seed.3 == 0 { state.0 = 1 }
  }

  mutating func next() -> UInt64 {
    func rotated(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
    let result = rotated(state.0 &+ state.3, 23) &+ state.0
    let shifted = state.1 << 17
    state.2 ^= state.0
    state.3 ^= state.1
    state.1 ^= state.2
    state.0 ^= state.3
    state.2 ^= shifted
    state.3 = rotated(state.3, 45)
    return result
  }

  /// Never 0, which stands for no id.
  mutating func nextID() -> UInt64 {
    while true {
      let id = next()
      if id != 0 { return id }
    }
  }

  mutating func nextTraceID() -> TraceID { TraceID(high: nextID(), low: nextID()) }
}
