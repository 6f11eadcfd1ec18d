// Connections in their table: who is closed first when one has to make room, and a limit that several threads share.
import EventLoop
import Synchronization
import Testing

@testable import Gateway

@Suite struct ConnectionTableTests {
  private final class Connection {
    let place: ConnectionTable<Connection>.Place
    let name: String
    var isIdle = true
    init(_ place: ConnectionTable<Connection>.Place, _ name: String) {
      self.place = place
      self.name = name
    }
  }

  private struct Rig {
    var table = ConnectionTable<Connection>()

    mutating func add(_ name: String) -> Connection {
      let connection = table.insert { Connection($0, name) }
      table.list(connection.place)
      return connection
    }

    mutating func pop() -> String? { table.popIdle { $0.isIdle }?.name }
  }

  @Test("Who became idle first is closed first; each is handed out once")
  func order() {
    var rig = Rig()
    for name in ["a", "b", "c"] { _ = rig.add(name) }
    #expect([rig.pop(), rig.pop(), rig.pop(), rig.pop()] == ["a", "b", "c", nil])
    #expect(rig.table.count == 3, "they are removed when they close")
  }

  @Test("The busy are passed over, and come back when they are listed again")
  func busy() {
    var rig = Rig()
    let (a, b) = (rig.add("a"), rig.add("b"))
    a.isIdle = false
    #expect(rig.pop() == "b")
    b.isIdle = false
    #expect(rig.pop() == nil)
    a.isIdle = true
    #expect(rig.pop() == nil, "it has not said so")
    rig.table.list(a.place)
    rig.table.list(a.place)
    #expect(rig.pop() == "a")
    #expect(rig.pop() == nil)
  }

  @Test("Whoever is removed is gone, from the middle of the list as from its ends")
  func removal() {
    for removed in 0..<4 {
      var rig = Rig()
      let all = ["a", "b", "c", "d"].map { rig.add($0) }
      rig.table.remove(all[removed].place)
      rig.table.remove(all[removed].place)
      #expect(rig.table.count == 3 && rig.table.all.count == 3)
      _ = rig.add("e")
      var popped: [String] = []
      while let name = rig.pop() { popped.append(name) }
      #expect(popped == all.map(\.name).filter { $0 != all[removed].name } + ["e"])
    }
  }

  @Test("The same as a plain list that is searched, over many steps")
  func againstAModel() {
    var rig = Rig()
    var random = SystemRandomNumberGenerator()
    var listed: [Connection] = []
    var all: [Connection] = []
    for step in 0..<20_000 {
      switch Int.random(in: 0..<5, using: &random) {
      case 0:
        let connection = rig.add("\(step)")
        all.append(connection)
        listed.append(connection)
      case 1:
        guard let gone = all.randomElement(using: &random) else { continue }
        rig.table.remove(gone.place)
        all.removeAll { $0 === gone }
        listed.removeAll { $0 === gone }
      case 2: all.randomElement(using: &random)?.isIdle.toggle()
      case 3:
        guard let connection = all.randomElement(using: &random) else { continue }
        rig.table.list(connection.place)
        if !listed.contains(where: { $0 === connection }) { listed.append(connection) }
      default:
        let expected = listed.firstIndex(where: \.isIdle)
        #expect(rig.pop() == expected.map { listed[$0].name })
        listed.removeFirst(expected.map { $0 + 1 } ?? listed.count)
      }
      #expect(rig.table.count == all.count)
    }
  }
}

@Suite struct ProcessLimitTests {
  @Test("Threads that take places together get all of them and not one more")
  func exact() throws {
    let limit = ProcessLimit(1000)
    let taken = Atomic<Int>(0)
    let shared = Box(taken)
    for _ in 0..<20 {
      let threads = try (0..<4).map { _ in
        try LoopThread.start(name: "taker") {
          for _ in 0..<400 where limit.take() { shared.value.add(1, ordering: .relaxed) }
        }
      }
      for thread in threads { thread.join() }
      #expect(shared.value.load(ordering: .relaxed) == 1000 && limit.isReached && limit.count == 1000)
      limit.giveBack(1000)
      shared.value.store(0, ordering: .relaxed)
    }
  }

  @Test("A limit of none lets nobody in")
  func none() { #expect(!ProcessLimit(0).take() && ProcessLimit(0).isReached) }

  private final class Box: Sendable {
    let value: Atomic<Int>
    init(_ value: consuming Atomic<Int>) { self.value = value }
  }
}
