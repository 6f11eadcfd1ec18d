// `example-gateway FILE`: as `gateway serve --config FILE`, knowing no token API but the example's.
internal import EventLoop
internal import FoundationEssentials
internal import Gateway
internal import Glibc
internal import ParcelProvider

enum ExampleGateway {
  private static let registry = ProviderRegistry([ParcelProvider.self])

  static func run() {
    let file = CommandLine.arguments.last ?? "gateway.json"
    let environment = ProcessInfo.processInfo.environment
    let source = ConfigurationSource(file: file) {
      ConfigurationLoader.load(path: file, registry: registry, environment: environment)
    }
    switch source.read() {
    case .failure(let invalid):
      for line in ProblemReport.excerpts(invalid.problems, file: file) { StandardError.write(line: line) }
      exit(1)
    case .success(let loaded):
      do throws(StartFailure) {
        try GatewayServer.run(loaded.configuration, source: source, environment: environment)
      } catch {
        StandardError.write(line: "example-gateway: \(error)")
        exit(1)
      }
    }
  }
}
