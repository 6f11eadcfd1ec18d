// Runs libFuzzer on the target that FUZZ_TARGET names; all arguments are libFuzzer's. scripts/fuzz builds and calls it.
FuzzDriver.run()
