// Lifetimes as token endpoints say them: never "never", never "already expired".

/// Reads lifetimes out of replies.
public enum ReplyLifetime {
  /// Ten years. What claims to live longer is a moment in time, milliseconds, or a way to say "never".
  public static let longest = Duration.seconds(10 * 366 * 86_400)

  /// `expires_in` and its kin, in seconds, as number or string, whole or not. Zero, negative, above ten years and not a
  /// number are unknown; what is below a second counts as one.
  public static func seconds(_ member: JSONScalar?) -> Duration? {
    guard let seconds = member?.numeric, seconds > 0, seconds <= Double(longest.components.seconds) else { return nil }
    return .milliseconds(Int64(max(seconds, 1) * 1000))
  }

  /// A date by the server's clock. Not in the future by `clock`, or more than ten years ahead of it (year 1 and year
  /// 9999 are some frameworks' defaults), is unknown.
  public static func date(_ date: WallTime?, clock: WallTime) -> Token.Lifetime {
    guard let date, date > clock, date < clock + longest else { return .unknown }
    return .absolute(date)
  }
}
