// One reading of both clocks, as every event of a credential's machine carries it.

/// Now, on both clocks. Deadlines count on `boot`; `wall` is for the store and for dates that servers send.
public struct Moment: Sendable, Hashable {
  /// CLOCK_BOOTTIME.
  public var boot: BootInstant
  /// CLOCK_REALTIME.
  public var wall: WallTime

  /// Both readings.
  public init(boot: BootInstant, wall: WallTime) {
    self.boot = boot
    self.wall = wall
  }

  /// The wall clock at another moment of the boot clock, if it goes on as it does now.
  public func wall(at instant: BootInstant) -> WallTime { wall + (instant - boot) }
}
