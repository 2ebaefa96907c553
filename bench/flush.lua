-- Flushes of KEYS entries over 10,000 API keys, for wrk. Prints one line of JSON.
local requests = {}
local sent = 0

-- The requests are made before the clock starts, so wrk spends the same time on each size.
init = function()
  local keys = tonumber(os.getenv("KEYS"))
  math.randomseed(1)
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
  for b = 1, 64 do
    local entries = {}
    for i = 1, keys do
      local count = math.random(1, 20)
      entries[i] = string.format('{"api_key_id":%d,"requests":%d,"success_requests":%d}',
        math.random(1, 10000), count, count - (math.random() < 0.02 and 1 or 0))
    end
    requests[b] = wrk.format("POST", nil, nil, '{"keys":[' .. table.concat(entries, ',') .. ']}')
  end
end

request = function()
  sent = sent + 1
  return requests[sent % 64 + 1]
end

done = function(summary, latency)
  io.write(string.format('\n{"perSecond":%.1f,"errors":%d,"p50Ms":%.2f,"p99Ms":%.2f}\n',
    (summary.requests - summary.errors.status) / (summary.duration / 1e6),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
