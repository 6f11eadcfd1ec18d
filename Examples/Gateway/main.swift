// The gateway with the example's token API, for its end-to-end test. A real one is added to Sources/gateway/Registry.swift.
ExampleGateway.run()
