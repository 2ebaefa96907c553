-- Flushes of KEYS entries over 10,000 API keys, for wrk. Prints one line of JSON.
local keys = tonumber(os.getenv("KEYS"))
local bodies = {}
math.randomseed(1)
for b = 1, 64 do
  local entries = {}
  for i = 1, keys do
    local requests = math.random(1, 20)
    entries[i] = string.format('{"api_key_id":%d,"requests":%d,"success_requests":%d}',
      math.random(1, 10000), requests, requests - (math.random() < 0.02 and 1 or 0))
  end
  bodies[b] = '{"keys":[' .. table.concat(entries, ',') .. ']}'
end

wrk.method = "POST"
wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
request = function() return wrk.format(nil, nil, nil, bodies[math.random(1, 64)]) end
done = function(summary, latency)
  io.write(string.format('\n{"perSecond":%.1f,"errors":%d,"p50Ms":%.2f,"p99Ms":%.2f}\n',
    summary.requests / (summary.duration / 1e6),
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
