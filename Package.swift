// swift-tools-version: 6.2
// The targets of the gateway and the direction of their dependencies. A provider is one target that
// depends on TokenKit alone; adding one is one folder, one line here, one line in the gateway's registry.
import PackageDescription

// Set by scripts/fuzz: everything is built with the instrumentation of libFuzzer and AddressSanitizer, and gateway-fuzz
// with it.
let isFuzzing = Context.environment["GATEWAY_FUZZING"] == "1"
let instrumentation = ["-sanitize=fuzzer,address"]

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
  // The run-time checks of exclusive access cost 5 % of the CPU time of a small request. Debug builds, and with them all
  // tests, keep them; so does fuzzing.
  isFuzzing
    ? .unsafeFlags(instrumentation + ["-enable-testing"])
    : .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

func library(
  _ name: String, path: String? = nil, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: path ?? "Sources/\(name)", resources: resources,
    swiftSettings: strict)
}

func systemLibrary(_ name: String, pkgConfig: String, apt: String) -> Target {
  .systemLibrary(name: name, path: "Sources/C/\(name)", pkgConfig: pkgConfig, providers: [.apt([apt])])
}

func tests(_ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude, swiftSettings: strict)
}

let providers: [Target.Dependency] = ["VinIDProvider", "MisaCukcukProvider", "OAuth2Provider"]

let package = Package(
  name: "gateway",
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // C libraries: header shims, and typed wrappers for variadics and macros.
    .systemLibrary(name: "CLinux", path: "Sources/C/CLinux"),
    systemLibrary("COpenSSL", pkgConfig: "openssl", apt: "libssl-dev"),
    systemLibrary("CCares", pkgConfig: "libcares", apt: "libc-ares-dev"),
    systemLibrary("CCurl", pkgConfig: "libcurl", apt: "libcurl4-openssl-dev"),
    systemLibrary("CExpat", pkgConfig: "expat", apt: "libexpat1-dev"),
    systemLibrary("CSQLite", pkgConfig: "sqlite3", apt: "libsqlite3-dev"),
    systemLibrary("CPostgres", pkgConfig: "libpq", apt: "libpq-dev"),

    // The core.
    library("HTTPWire"),
    library("EventLoop", ["CLinux", "COpenSSL", "CCares"]),
    library("TokenKit"),
    library(
      "TokenService",
      [
        "TokenKit", "EventLoop", "CCurl", "CSQLite", "CPostgres", "COpenSSL",
        .product(name: "Crypto", package: "swift-crypto"),
      ]),
    library(
      "Gateway",
      ["HTTPWire", "EventLoop", "TokenKit", "TokenService", .product(name: "Logging", package: "swift-log")],
      // Becomes `PackageResources`: bytes in the binary, no bundle beside it.
      resources: [.embedInCode("Admin/StatusPage/Page")]),

    // Token APIs.
    library("VinIDProvider", path: "Sources/Providers/VinID", ["TokenKit"]),
    library("MisaCukcukProvider", path: "Sources/Providers/MisaCukcuk", ["TokenKit", "CExpat"]),
    library("OAuth2Provider", path: "Sources/Providers/OAuth2", ["TokenKit"]),

    // docs/adding-a-provider.md: a token API that does not exist, and a gateway that knows it.
    library("ParcelProvider", path: "Examples/Parcel", ["TokenKit"]),
    .executableTarget(
      name: "example-gateway", dependencies: ["Gateway", "EventLoop", "ParcelProvider"], path: "Examples/Gateway",
      swiftSettings: strict),

    // Command lines.
    .executableTarget(
      name: "gateway",
      dependencies: ["Gateway", .product(name: "ArgumentParser", package: "swift-argument-parser")] + providers,
      path: "Sources/gateway", swiftSettings: strict),
    .executableTarget(
      name: "gateway-sandbox",
      dependencies: [
        "GatewayTesting", "EventLoop", "TokenKit", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      path: "Sources/gateway-sandbox", swiftSettings: strict),
    library("GatewayTesting", ["HTTPWire", "EventLoop", "TokenKit"]),
    library("TokenSimulation", ["TokenKit", "TokenService"]),
    .executableTarget(
      name: "token-simulator",
      dependencies: ["TokenSimulation", .product(name: "ArgumentParser", package: "swift-argument-parser")],
      path: "Sources/token-simulator", swiftSettings: strict),
    // Answers Fuzzing/Differential/differential.py, which compares our reading of messages with h11's.
    .executableTarget(name: "wire-driver", dependencies: ["HTTPWire"], path: "Fuzzing/Driver", swiftSettings: strict),

    // Tests.
    tests("HTTPWireTests", ["HTTPWire"]),
    tests("EventLoopTests", ["EventLoop", "GatewayTesting", "CLinux", "COpenSSL"]),
    tests("TokenKitTests", ["TokenKit", "GatewayTesting"]),
    tests("ProviderTests", ["TokenKit", "GatewayTesting", "ParcelProvider"] + providers),
    tests("TokenServiceTests", ["TokenService", "TokenKit", "EventLoop", "GatewayTesting"]),
    tests("TokenSimulationTests", ["TokenSimulation"]),
    tests(
      "GatewayTests", ["Gateway", "GatewayTesting"] + providers,
      exclude: ["Schema/mutations.py", "Schema/full.json", "Schema/shared-store.json"]),
    tests(
      "EndToEndTests", ["GatewayTesting", "EventLoop", "TokenKit", "gateway", "gateway-sandbox", "example-gateway"],
      exclude: [
        "TokenServer", "TLSOrigin", "Counting", "Varnishtest", "HTTPRules/h11_origin.py", "HTTPRules/raw_origin.py",
        "Gateway/Uploads/judging_origin.py",
        "Crash/store_row.py", "FailingDisk/failing_disk.c", "StatusPage/browser.py", "StatusPage/status_page.py",
        "Gateway/Tracing/collector.py",
      ]),
  ]
)

if isFuzzing {
  package.targets += [
    .systemLibrary(name: "CLibFuzzer", path: "Fuzzing/CLibFuzzer"),
    .executableTarget(
      name: "gateway-fuzz", dependencies: ["CLibFuzzer", "HTTPWire", "TokenKit", "Gateway"] + providers,
      path: "Fuzzing/Targets", swiftSettings: strict,
      // The linker of the toolchain: binutils' gold does not take the instrumentation's sections.
      linkerSettings: [.unsafeFlags(instrumentation + ["-use-ld=lld"])]),
  ]
}
