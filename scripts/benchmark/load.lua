-- What wrk sends for a row of scripts/bench, and its figures as one line of JSON.
wrk.method = os.getenv("BENCH_METHOD")
local length = tonumber(os.getenv("BENCH_BODY"))
if length > 0 then wrk.body = string.rep("x", length) end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "bytes": %d, "duration_us": %d, "p50_us": %d, "p99_us": %d, "p999_us": %d, '
      .. '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
    summary.requests, summary.bytes, summary.duration, latency:percentile(50), latency:percentile(99),
    latency:percentile(99.9), e.connect, e.read, e.write, e.status, e.timeout))
end
