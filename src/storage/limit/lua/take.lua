-- Takes what is wanted if all limits allow it. Gives the number of the first check that does not (0 for none), then by checks what was
-- used and what is in use.
-- KEYS: by checks: counter, counter of the window before; then by pools: leases, amounts
-- ARGV: 1 if it is granted in any case, id of the hold, its lease (ms), the number of checks; by checks: amount, least, quota, thousandths
-- of the window before, life of the counter (ms), number of the pool (0: none), "spend", "hold" or nothing; by pools: 1 if it is held
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

local refused, levels, granted = 0, {}, {}
for check = 1, checks do
  local arg = 4 + (check - 1) * 7
  local amount, least, quota = tonumber(ARGV[arg + 1]), tonumber(ARGV[arg + 2]), tonumber(ARGV[arg + 3])
  local permille, pool = tonumber(ARGV[arg + 4]), tonumber(ARGV[arg + 6])
  local used = tonumber(redis.call('GET', KEYS[2 * check - 1]) or 0)
  if permille > 0 then
    used = used + math.floor(tonumber(redis.call('GET', KEYS[2 * check]) or 0) * permille / 1000)
  end
  local in_use = held[pool] or 0
  levels[#levels + 1], levels[#levels + 2] = used, in_use
  if refused == 0 and used + in_use + least > quota then refused = check end
  if ARGV[arg + 7] == 'hold' then
    local left = math.max(math.min(amount, quota - used - in_use), least)
    granted[pool] = math.min(granted[pool] or left, left)
  end
end
table.insert(levels, 1, refused)
if refused > 0 and not forced then return levels end

for check = 1, checks do
  local arg = 4 + (check - 1) * 7
  if ARGV[arg + 7] == 'spend' then
    redis.call('INCRBY', KEYS[2 * check - 1], ARGV[arg + 1])
    redis.call('PEXPIRE', KEYS[2 * check - 1], ARGV[arg + 5])
  end
end
for pool = 1, pools do
  local leases, amounts = KEYS[2 * (checks + pool) - 1], KEYS[2 * (checks + pool)]
  if ARGV[4 + checks * 7 + pool] == '1' then
    redis.call('ZADD', leases, now + lease, id)
    redis.call('HSET', amounts, id, granted[pool])
    redis.call('HINCRBY', amounts, 'sum', granted[pool])
  end
end
return levels
