// Places of what reloads have taken away: kept for a while, then given to others once nothing goes by them.
import TokenKit
import Testing

@testable import Gateway

@Suite struct PlaceLedgerTests {
  private static let url = HTTPURL.parse("http://127.0.0.1:1")

  private static func configuration(_ routes: [String]) throws -> GatewayConfiguration {
    let origin = UpstreamOrigin(try url.get())
    return GatewayConfiguration(
      routes: routes.map { RouteConfiguration(name: $0, upstream: UpstreamConfiguration(origins: [origin])) })
  }

  private struct Rig {
    var places: PlanPlaces
    var ledger: PlaceLedger
    var generation = 0

    init(_ routes: [String], workers: Int = 1) throws {
      places = PlanPlaces(try PlaceLedgerTests.configuration(routes))
      ledger = PlaceLedger(places, workers: workers)
    }

    mutating func reload(_ routes: [String]) throws {
      generation += 1
      places.take(try PlaceLedgerTests.configuration(routes), free: free)
      ledger.take(places, generation: generation)
    }

    var free: PlanPlaces.Chosen { ledger.free { _ in true } }
  }

  @Test func everNewNamesTakeABoundedNumberOfPlaces() throws {
    var rig = try Rig(["stays", "0"])
    for number in 1...500 {
      try rig.reload(["\(number)", "stays"])
      rig.ledger.released(rig.generation - 1)
      #expect(rig.places.routes[rig.places.ofRoutes[0]].name == "\(number)" && rig.places.ofRoutes[1] == 0)
      #expect(Set(rig.places.ofRoutes).count == 2)
    }
    #expect(rig.places.routes.count < 40 && rig.places.version > 400)
  }

  /// A request that goes on for long keeps what it goes by, and nothing else.
  @Test func whatARequestGoesByIsNotGivenAway() throws {
    var rig = try Rig(["first"])
    var before = 0
    for number in 1...200 {
      try rig.reload(["\(number)"])
      // Something of number 50 stays.
      if before != 50 { rig.ledger.released(before) }
      before = rig.generation
    }
    let place = try #require(rig.places.routes.firstIndex { $0.name == "50" })
    #expect(!rig.free.routes.contains(place) && rig.places.routes.count < 40)
    rig.ledger.released(50)
    #expect(rig.free.routes.first == place)
  }

  @Test func everyLoopMustHaveLetGo() throws {
    var rig = try Rig(["first"], workers: 2)
    for number in 1...60 { try rig.reload(["\(number)"]) }
    #expect(rig.places.routes.count == 61)
    for number in 0..<60 { rig.ledger.released(number) }
    #expect(rig.free.routes.isEmpty)
    for number in 0..<60 { rig.ledger.released(number) }
    // The last 32 are kept.
    #expect(rig.free.routes == Array(0..<28))
    // Of a configuration that was refused.
    rig.ledger.released(1000)
    #expect(rig.free.routes.count == 28)
  }

  /// Also if its place is free.
  @Test func aNameThatComesBackHasItsOwnPlace() throws {
    var rig = try Rig(["first"])
    for number in 1...100 {
      try rig.reload(["\(number)"])
      rig.ledger.released(number - 1)
    }
    let oldest = rig.places.routes[try #require(rig.free.routes.first)].name
    let place = try #require(rig.places.routes.firstIndex { $0.name == oldest })
    try rig.reload(["new", oldest])
    #expect(rig.places.ofRoutes[1] == place && rig.places.ofRoutes[0] != place)
  }

  @Test func aCredentialThatIsNotOverIsKept() throws {
    func configuration(_ name: String) -> GatewayConfiguration {
      GatewayConfiguration(credentials: [
        CredentialConfiguration(name: name, providerID: "none", provider: NoProvider())
      ])
    }
    var places = PlanPlaces(configuration("first"))
    var ledger = PlaceLedger(places, workers: 1)
    for number in 1...50 {
      places.take(configuration("\(number)"))
      ledger.take(places, generation: number)
      ledger.released(number - 1)
    }
    #expect(ledger.free { _ in false }.credentials.isEmpty)
    let free = ledger.free { $0 != 3 }
    #expect(free.credentials == Array(0..<18).filter { $0 != 3 })
    places.take(configuration("again"), free: free)
    #expect(places.ofCredentials == [0] && places.reused.credentials == [0])
    #expect(places.place(ofCredential: "again") == 0 && places.place(ofCredential: "first") == nil)
    #expect(places.place(ofCredential: "7") == 7)
  }

  private struct NoProvider: TokenProvider {
    static let id = "none"
    static let settings = SettingsObject([])
    init() {}
    init(settings: SettingsReader) {}
    var traits: ProviderTraits {
      ProviderTraits(usesRefreshToken: false, accessTokenIdentity: [], refreshTokenIdentity: [], tokenURLs: [])
    }
    func grantRequest(_ context: GrantContext) throws(GrantError) -> GrantRequest { throw GrantError(.transient, "no") }
    func token(from response: GrantResponse, _ context: GrantContext) throws(GrantError) -> Token {
      throw GrantError(.transient, "no")
    }
  }
}
