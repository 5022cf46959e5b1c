-- One refund a request, each under an Idempotency-Key of its own, on payments drawn at random.
-- Arguments: API key, label of this run, number of payments, seed, preference ("" waits for the refund's end).

local template, label, payments, asked = nil, nil, nil, 0
local body = '{"amount":100,"currency":"EUR","reason":"requested_by_customer"}'

function init(args)
  label, payments = args[2], tonumber(args[3])
  math.randomseed(tonumber(args[4]))
  local prefer = args[5] ~= "" and "Prefer: " .. args[5] .. "\r\n" or ""
  template = "POST /v1/payments/pay_01900000000070008000%012x/refunds HTTP/1.1\r\n"
    .. "Host: " .. wrk.host .. "\r\nAuthorization: Bearer " .. args[1] .. "\r\n" .. prefer
    .. "Idempotency-Key: " .. label .. "-%d\r\nContent-Type: application/json\r\n"
    .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
  asked = asked + 1
  return template:format(math.random(payments), asked)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'wrk {"answered": %d, "seconds": %.6f, "failed": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
