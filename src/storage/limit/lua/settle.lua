-- Ends holds, and counts what was used of them; once, however often it is asked for.
-- KEYS: mark of the batch; the counters; by holds: leases, amounts
-- ARGV: how long the mark is kept (ms), the number of counters; by counters: amount, life (ms); the ids of the holds
local counters = tonumber(ARGV[2])
if not redis.call('SET', KEYS[1], 1, 'NX', 'PX', ARGV[1]) then return 0 end
for counter = 1, counters do
  redis.call('INCRBY', KEYS[1 + counter], ARGV[1 + 2 * counter])
  redis.call('PEXPIRE', KEYS[1 + counter], ARGV[2 + 2 * counter])
end
for hold = 1, (#KEYS - 1 - counters) / 2 do
  release(KEYS[2 * hold + counters], KEYS[2 * hold + counters + 1], ARGV[2 + 2 * counters + hold])
end
return 1
