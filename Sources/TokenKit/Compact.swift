// How values are kept small that a process has a hundred thousand times: optional times in 8 bytes, rare things in a box.

/// An optional moment without the byte (and its padding) that says whether it is there.
@propertyWrapper
struct CompactInstant: Sendable {
  private var nanoseconds = Int64.min

  init(wrappedValue: BootInstant? = nil) { self.wrappedValue = wrappedValue }

  /// The earliest moment of all can't be kept; it is moved by a nanosecond.
  var wrappedValue: BootInstant? {
    get { nanoseconds == .min ? nil : BootInstant(nanoseconds: nanoseconds) }
    set { nanoseconds = newValue.map { max($0.nanoseconds, .min + 1) } ?? .min }
  }
}

/// An optional number that is never 0 when it is there.
@propertyWrapper
package struct CompactNumber: Sendable {
  private var number: UInt64

  /// 0 becomes nil.
  package init(wrappedValue: UInt64? = nil) { number = wrappedValue ?? 0 }

  /// The number.
  package var wrappedValue: UInt64? {
    get { number == 0 ? nil : number }
    set { number = newValue ?? 0 }
  }
}

/// A count or a running number in 4 bytes: one a second fills them in 136 years.
@propertyWrapper
struct CompactCount<Value: FixedWidthInteger & Sendable>: Sendable {
  private var count: UInt32

  init(wrappedValue: Value) { count = UInt32(clamping: wrappedValue) }

  var wrappedValue: Value {
    get { Value(count) }
    set { count = UInt32(clamping: newValue) }
  }
}

/// An optional time of the wall clock in 8 bytes.
@propertyWrapper
struct CompactWallTime: Sendable, Equatable {
  private var milliseconds = Int64.min

  init(wrappedValue: WallTime? = nil) { self.wrappedValue = wrappedValue }

  var wrappedValue: WallTime? {
    get { milliseconds == .min ? nil : WallTime(milliseconds: milliseconds) }
    set { milliseconds = newValue.map { max($0.milliseconds, .min + 1) } ?? .min }
  }
}

/// A duration in 8 bytes; nanoseconds are all that tokens are counted in.
@propertyWrapper
struct CompactDuration: Sendable, Equatable {
  private var nanoseconds: Int64

  init(wrappedValue: Duration) { nanoseconds = wrappedValue.nanoseconds }

  var wrappedValue: Duration {
    get { .nanoseconds(nanoseconds) }
    set { nanoseconds = newValue.nanoseconds }
  }
}

/// An optional duration in 8 bytes.
@propertyWrapper
struct CompactOptionalDuration: Sendable, Equatable {
  private var nanoseconds: Int64

  init(wrappedValue: Duration?) { nanoseconds = wrappedValue.map { max($0.nanoseconds, .min + 1) } ?? .min }

  var wrappedValue: Duration? {
    get { nanoseconds == .min ? nil : .nanoseconds(nanoseconds) }
    set { self = CompactOptionalDuration(wrappedValue: newValue) }
  }
}

/// A value that is seldom there, in storage of its own.
enum Boxed<Value: Sendable>: Sendable {
  case none
  indirect case some(Value)

  init(_ value: Value?) { self = value.map { .some($0) } ?? .none }

  var value: Value? { if case .some(let value) = self { value } else { nil } }
}

extension Boxed: Equatable where Value: Equatable {}

/// Keeps one of all values that are equal: what many credentials have in common.
public struct Interner<Value: Hashable> {
  private var known: Set<Value> = []

  /// Knows nothing yet.
  public init() {}

  /// The first value that was equal to this one.
  public mutating func shared(_ value: Value) -> Value { known.insert(value).memberAfterInsert }
}
