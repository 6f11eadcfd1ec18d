// Metrics of the process: its store, its loops, what the system counts of it.
internal import EventLoop
internal import TokenKit

extension MetricsReport {
  var storeFamilies: [MetricFamily] {
    let failures = "gateway_store_failures_total"
    return [
      single(
        "gateway_store_up", .gauge, "0 while a shared store is away, else 1.", credentialCounters.isStoreAway ? 0 : 1),
      single(
        "gateway_store_pending_operations", .gauge, "Operations that the store has not ended.",
        UInt64(storeOperations)),
      MetricFamily(
        name: failures, type: .counter, help: "Operations that the store did not carry out, by operation."
      ) { _, text in
        for operation in StoreOperation.allCases {
          text.sample(
            failures, MetricLabels(["operation": operation.rawValue]),
            credentialCounters.storeFailures[operation] ?? 0)
        }
      },
      single(
        "gateway_refreshes_unmarked_total", .counter,
        "Refreshes that went out although the store could not be told before.", credentialCounters.grantsWithoutMark),
    ]
  }

  /// Every loop's name with what is known of it.
  private var loops: [(name: String, timing: LoopTiming, lag: Int64?, time: Int64)] {
    var all: [(String, LoopTiming, Int64?, Int64)] = [("control", controlTiming, nil, now.boot.nanoseconds)]
    for (index, state) in counters.loops.enumerated() {
      if let state { all.append(("data-\(index)", state.timing, state.lag, state.time)) }
    }
    return all
  }

  var loopFamilies: [MetricFamily] {
    let turns = "gateway_loop_turn_duration_seconds"
    let longest = "gateway_loop_longest_turn_seconds"
    let lag = "gateway_loop_lag_seconds"
    return [
      MetricFamily(name: turns, type: .histogram, help: "Time that turns of an event loop took.") { _, text in
        for loop in loops {
          text.histogram(
            turns, MetricLabels(["loop": loop.name]), bounds: LoopTiming.bounds, counts: loop.timing.turns,
            sum: loop.timing.sum)
        }
      },
      MetricFamily(
        name: longest, type: .gauge, help: "The longest turn of an event loop in the last 30 to 60 seconds."
      ) { _, text in
        for loop in loops {
          var timing = loop.timing
          text.sample(longest, MetricLabels(["loop": loop.name]), seconds: timing.longest(at: loop.time))
        }
      },
      MetricFamily(
        name: lag, type: .gauge, help: "How long the question of this scrape waited for the data loop."
      ) { _, text in
        for loop in loops {
          if let value = loop.lag { text.sample(lag, MetricLabels(["loop": loop.name]), seconds: value) }
        }
      },
      single(
        "gateway_late_loops", .gauge,
        "Data loops that did not answer this scrape in time: their numbers are those of an earlier one.",
        UInt64(counters.lateLoops)),
      single(
        "gateway_access_log_dropped_lines_total", .counter, "Lines of the access log that were lost.",
        counters[.accessLogDropped]),
    ]
  }

  var processFamilies: [MetricFamily] {
    let build = "gateway_build_info"
    var families = [
      MetricFamily(name: build, type: .gauge, help: "Always 1; which version this is.") { _, text in
        text.sample(build, MetricLabels(["version": Version.text]), 1)
      }
    ]
    func time(_ name: String, _ type: MetricType, _ help: String, _ nanoseconds: Int64?) {
      guard let nanoseconds else { return }
      families.append(
        MetricFamily(name: name, type: type, help: help) { $1.sample(name, MetricLabels(), seconds: nanoseconds) })
    }
    func number(_ name: String, _ help: String, _ value: UInt64?) {
      if let value { families.append(single(name, .gauge, help, value)) }
    }
    time(
      "process_cpu_seconds_total", .counter, "Processor time, of all threads, in user and kernel mode.",
      process.cpu.map(Int64.init(clamping:)))
    number("process_resident_memory_bytes", "Memory that is resident.", process.residentBytes)
    number("process_virtual_memory_bytes", "Address space in use.", process.virtualBytes)
    number("process_open_fds", "Open file descriptors.", process.openDescriptors)
    number("process_max_fds", "File descriptors that may be open.", process.maximumDescriptors)
    time(
      "process_start_time_seconds", .gauge, "When the process started.",
      process.started.map { Self.nanoseconds(now.wall) - (now.boot.nanoseconds - $0) })
    return families
  }
}
