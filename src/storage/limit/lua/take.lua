-- Takes what is wanted if all limits allow it. Gives the number of the first check that does not (0 for none), then by checks what was
-- used and what is in use.
-- KEYS: by checks: counter, counter of the window before; then by pools: leases, amounts
-- ARGV: 1 if it is granted in any case, id of the hold, its lease (ms), the number of checks; by checks: amount, quota, thousandths of the
-- window before, life of the counter (ms), number of the pool (0: none), 1 if the amount is used at once; by pools: the amount
-- that is held
local forced, id, lease, checks = ARGV[1] == '1', ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local pools = #KEYS / 2 - checks
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local held = {}
for pool = 1, pools do
  local leases, amounts = KEYS[2 * (checks + pool) - 1], KEYS[2 * (checks + pool)]
  for _, lost in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now)) do release(leases, amounts, lost) end
  held[pool] = tonumber(redis.call('HGET', amounts, 'sum') or 0)
end

local refused, levels = 0, {}
for check = 1, checks do
  local arg = 4 + (check - 1) * 6
  local amount, quota, permille = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local used = tonumber(redis.call('GET', KEYS[2 * check - 1]) or 0)
  if permille > 0 then
    used = used + math.floor(tonumber(redis.call('GET', KEYS[2 * check]) or 0) * permille / 1000)
  end
  local in_use = held[tonumber(ARGV[arg + 5])] or 0
  levels[#levels + 1], levels[#levels + 2] = used, in_use
  if refused == 0 and used + in_use + math.min(amount, quota) > quota then refused = check end
end
table.insert(levels, 1, refused)
if refused > 0 and not forced then return levels end

for check = 1, checks do
  local arg = 4 + (check - 1) * 6
  if ARGV[arg + 6] == '1' then
    redis.call('INCRBY', KEYS[2 * check - 1], ARGV[arg + 1])
    redis.call('PEXPIRE', KEYS[2 * check - 1], ARGV[arg + 4])
  end
end
for pool = 1, pools do
  local leases, amounts = KEYS[2 * (checks + pool) - 1], KEYS[2 * (checks + pool)]
  local amount = ARGV[4 + checks * 6 + pool]
  if tonumber(amount) > 0 then
    redis.call('ZADD', leases, now + lease, id)
    redis.call('HSET', amounts, id, amount)
    redis.call('HINCRBY', amounts, 'sum', amount)
  end
end
return levels
