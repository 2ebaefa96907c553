-- Flushes of KEYS entries over 10,000 API keys, for wrk. Prints one line of JSON. With DETAILS they
-- have the dimensions and measures of workload.ts.
local requests = {}
local sent = 0

local models = {
  "gpt-5", "gpt-5-mini", "claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-pro",
  "gemini-2.5-flash", "deepseek-chat", "text-embedding-3-small"
}
local failures = { "400", "429", "500" }

local function details(requests)
  if (os.getenv("DETAILS") or "") == "" then return "" end
  local model = models[math.floor(math.random() ^ 2 * #models) + 1]
  local status = math.random() < 0.95 and "200" or failures[math.random(1, #failures)]
  local function amount(most) return math.floor(requests * math.random() * most) end
  return string.format(',"dimensions":{"model":"%s","status":"%s"},"measures":' ..
    '{"input_tokens":%d,"output_tokens":%d,"cached_tokens":%d,"cost_micros":%d}',
    model, status, amount(2000), amount(500), amount(1000), amount(5000))
end

-- The requests are made before the clock starts, so wrk spends the same time on each size.
init = function()
  local keys = tonumber(os.getenv("KEYS"))
  math.randomseed(1)
  wrk.headers["Authorization"] = "Bearer " .. os.getenv("TOKEN")
  for b = 1, 64 do
    local entries = {}
    for i = 1, keys do
      local count = math.random(1, 20)
      entries[i] = string.format('{"api_key_id":%d,"requests":%d,"success_requests":%d%s}',
        math.random(1, 10000), count, count - (math.random() < 0.02 and 1 or 0), details(count))
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
