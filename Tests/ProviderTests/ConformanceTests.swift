// Every provider, in every configuration, through the conformance suite.
import GatewayTesting
import Testing

extension ConformanceCase: CustomTestStringConvertible {
  /// Provider and rule.
  public var testDescription: String { name }
}

@Suite struct ConformanceTests {
  @Test(arguments: Subjects.all.flatMap { ProviderConformance($0).cases })
  func conforms(_ conformanceCase: ConformanceCase) {
    let problem = conformanceCase.run()
    #expect(problem == nil, "\(conformanceCase.name): \(problem ?? "")")
  }

  @Test func namesAreUnique() {
    let names = Subjects.all.flatMap { ProviderConformance($0).cases.map(\.name) }
    #expect(Set(names).count == names.count)
  }
}
