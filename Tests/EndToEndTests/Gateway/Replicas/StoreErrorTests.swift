// PostgreSQL is there and takes no writes, as with a full disk: statements fail while the connection lives.
import GatewayTesting
import Testing
import TokenKit

@Suite(.serialized, .timeLimit(.minutes(10))) struct StoreErrorTests {
  /// From now on every row that is written fails as PostgreSQL does when it can't extend a file.
  private func fill(_ database: PostgresServer) async throws {
    try await database.sql(
      """
      CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        RAISE EXCEPTION USING ERRCODE = '53100', MESSAGE = 'could not extend file: No space left on device';
      END $$;
      CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE ON gateway_credential EXECUTE FUNCTION full_disk()
      """)
  }

  private func free(_ database: PostgresServer) async throws {
    try await database.sql("DROP TRIGGER full_disk ON gateway_credential; DROP FUNCTION full_disk()")
  }

  /// What happens when: PostgreSQL takes no writes, because its disk is full
  @Test func aFullPostgreSQLMeansThatLeasesServeToTheirEndAndNoRefreshTokenIsSent() async throws {
    let rig = try await ReplicaRig(lifetime: 10, grace: 0, count: 2)
    try await fill(rig.database)
    for replica in rig.replicas {
      // In time: the lease is good for a second more when it is due.
      try await replica.gateway.waitForAlarm("mark_not_written")
    }
    for replica in rig.replicas {
      try await Deadline.wait("the lease is over", within: .seconds(60)) {
        let answer = try await rig.server.request(through: replica.gateway)
        if answer.status == 502 { #expect(answer.json?["reason"]?.text == "store_unavailable", "\(answer.bodyText)") }
        return answer.status == 502
      }
      let log = replica.gateway.allLogs
      #expect(log.contains("53100") && !log.contains("store lost"), "\(log)")
    }
    #expect(try await rig.server.tally().tokens.count == 1, "a refresh token was spent that could not be stored")

    try await free(rig.database)
    for replica in rig.replicas {
      try await Deadline.wait("it serves again", within: .seconds(60)) {
        try await rig.server.request(through: replica.gateway).status == 200
      }
      try await replica.gateway.waitForAlarm(nil)
    }
    try await rig.stop()
    let tally = try await rig.server.tally()
    #expect(tally.spent == 0 && tally.areAllDifferent, "\(tally)")
  }

  /// The disk is full just when a pair is to be written: the one who has it serves with it and goes on trying.
  /// What happens when: PostgreSQL takes no writes from the middle of a token call on
  @Test func aPairThatAFullPostgreSQLDoesNotTakeServesFromMemoryAndIsStoredLater() async throws {
    let rig = try await ReplicaRig(lifetime: 10, grace: 0, count: 2)
    try await rig.server.setLifetime(3600)
    rig.server.answerLate(by: .seconds(3))
    try await Deadline.wait("a refresh is under way", within: .seconds(30)) { try await rig.isMarked() }
    try await fill(rig.database)
    var holder: ReplicaUnderTest?
    try await Deadline.wait("a pair could not be stored", within: .seconds(60)) {
      for replica in rig.replicas {
        let alarms = try await replica.gateway.credential()?["alarms"]?.elements?.compactMap(\.text) ?? []
        if alarms.contains("pair_not_stored") { holder = replica }
      }
      return holder != nil
    }
    let gateway = try #require(holder).gateway
    try await rig.server.expectService(through: gateway)
    #expect(try await gateway.credential()?["generation"]?.int == 2)
    #expect(try await rig.database.sql("SELECT generation FROM gateway_credential") == "1")

    try await free(rig.database)
    try await gateway.waitForAlarm(nil)
    for replica in rig.replicas {
      #expect(try await replica.gateway.waitForGeneration(2) == 2)
      try await rig.server.expectService(through: replica.gateway)
    }
    try await rig.stop()
    let tally = try await rig.server.tally()
    #expect(tally.tokens.count == 2 && tally.spent == 0 && tally.areAllDifferent, "\(tally)")
  }
}
