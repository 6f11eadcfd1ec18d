// Reads messages from standard input as our parser does, for the comparison with h11; see WireDriver.
WireDriver.run()
