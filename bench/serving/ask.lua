-- Ask: the request in a file, body and all, on every connection; what came of it as one line of JSON at the end.
-- wrk -s ask.lua http://127.0.0.1:PORT PATH BODY-FILE [HEADER VALUE ...]

function init(args)
   local file = assert(io.open(args[2], "rb"))
   wrk.method, wrk.path, wrk.body = "POST", args[1], file:read("*a")
   file:close()
   for place = 3, #args, 2 do
      wrk.headers[args[place]] = args[place + 1]
   end
end

function done(summary, latency, requests)
   local faults = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "seconds": %.6f, "status": %d, "faults": %d, "p50": %.1f, "p99": %.1f}\n',
      summary.requests, summary.duration / 1e6, faults.status,
      faults.connect + faults.read + faults.write + faults.timeout, latency:percentile(50), latency:percentile(99)))
end
