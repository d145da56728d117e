-- Carries out operations of one conversation, oldest first; one that was carried out before is skipped.
-- KEYS: messages, summary, ids of operations, epoch
-- ARGV: now, time to live, most messages, id of a clearing or '', summary or '', and for each operation: its id, how many
-- messages it has, the messages. Times are in milliseconds.
local list, summary, applied, epoch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, ttl, most = ARGV[1], ARGV[2], tonumber(ARGV[3])

local function is_new(id)
  return redis.call('ZADD', applied, 'NX', now, id) == 1
end

if ARGV[4] ~= '' and is_new(ARGV[4]) then
  redis.call('DEL', list, summary)
  redis.call('SET', epoch, ARGV[4])
end

local at = 6
while at <= #ARGV do
  local count = tonumber(ARGV[at + 1])
  if is_new(ARGV[at]) then
    for nth = at + 2, at + 1 + count do redis.call('LPUSH', list, ARGV[nth]) end
  end
  at = at + 2 + count
end

-- What is beyond the limit goes, system messages last.
local surplus = redis.call('LLEN', list) - most
local kept = {}
while surplus > 0 do
  local message = redis.call('RPOP', list)
  if not message then break end
  if is_system(message) then kept[#kept + 1] = message else surplus = surplus - 1 end
end
for nth = #kept, math.max(surplus, 0) + 1, -1 do redis.call('RPUSH', list, kept[nth]) end

local held = redis.call('LLEN', list)
if ARGV[5] ~= '' and held > 0 then redis.call('SET', summary, ARGV[5], 'NX') end
redis.call('ZREMRANGEBYRANK', applied, 0, -1 - math.max(1000, 2 * held))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
return held
