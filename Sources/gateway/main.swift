// The gateway's command line. One call: closures at the top level would belong to the main actor.
internal import ArgumentParser

GatewayCommand.main()
