-- Prints wrk's own totals as one line of JSON. Nothing runs per request, unless every request's head
-- is to differ from all others: then nothing that a proxy remembers of a head helps it.
if os.getenv("WRK_UPLOAD_BYTES") then
  wrk.method = "POST"
  wrk.body = string.rep("x", tonumber(os.getenv("WRK_UPLOAD_BYTES")))
end

if os.getenv("WRK_VARIED") then
  local sent = 0
  request = function()
    sent = sent + 1
    wrk.headers["X-Attempt"] = sent
    return wrk.format("GET", wrk.path .. "?n=" .. sent)
  end
end

-- Several targets, called in turn: made once, then only looked up.
if os.getenv("WRK_PATHS") then
  local made, turn = {}, 0
  init = function()
    for path in string.gmatch(os.getenv("WRK_PATHS"), "%S+") do
      made[#made + 1] = wrk.format("GET", path)
    end
  end
  request = function()
    turn = turn % #made + 1
    return made[turn]
  end
end

done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'SUMMARY {"requests":%d,"duration_us":%d,"p50_us":%d,"p99_us":%d,' ..
    '"connect_errors":%d,"read_errors":%d,"write_errors":%d,"status_errors":%d,"timeouts":%d}\n',
    summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
