-- Carries out steps of one conversation, oldest first; one that was carried out before is skipped. Returns how many messages
-- the conversation holds.
-- KEYS: messages, summary, ids of steps, epoch
-- ARGV: the condition ('' for none, 'absent' if there must be no messages, or the id of a step that must be known), now, time
-- to live, whether that may be shortened ('1'), the limit on messages, id of a clearing or '', time up to which it clears or ''
-- for everything, a summary or '', and for each step: its id, how many messages it has, the messages.
-- Times are in milliseconds, that of a clearing is written as in messages.
local list, summary, applied, epoch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local condition, now, ttl, max_messages = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local cleared, until_time = ARGV[6], ARGV[7]

if condition == 'absent' then
  if redis.call('EXISTS', list) == 1 then return 0 end
elseif condition ~= '' and not redis.call('ZSCORE', applied, condition) then
  return 0
end

local function is_new(id)
  return redis.call('ZADD', applied, 'NX', now, id) == 1
end

local function live(key)
  if ARGV[4] == '1' or redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end

-- A clearing that comes late spares what was said after it.
local function is_later(message)
  if until_time == '' then return false end
  local read, value = pcall(cjson.decode, message)
  return read and type(value) == 'table' and type(value.timestamp) == 'string' and value.timestamp > until_time
end

if cleared ~= '' and is_new(cleared) then
  local lived = redis.call('PTTL', list)
  local messages = redis.call('LRANGE', list, 0, -1)
  redis.call('DEL', list, summary)
  for _, message in ipairs(messages) do
    if is_later(message) then redis.call('RPUSH', list, message) end
  end
  if lived > 0 then redis.call('PEXPIRE', list, lived) end
  redis.call('SET', epoch, cleared)
end

local at, steps, has_grown = 9, 0, false
while at <= #ARGV do
  local count = tonumber(ARGV[at + 1])
  if is_new(ARGV[at]) and count > 0 then
    for nth = at + 2, at + 1 + count do redis.call('LPUSH', list, ARGV[nth]) end
    has_grown = true
  end
  steps = steps + 1
  at = at + 2 + count
end

-- What is beyond the limit goes, system messages last.
local surplus = redis.call('LLEN', list) - max_messages
local kept = {}
while surplus > 0 do
  local message = redis.call('RPOP', list)
  if not message then break end
  if is_system(message) then kept[#kept + 1] = message else surplus = surplus - 1 end
end
for nth = #kept, math.max(surplus, 0) + 1, -1 do redis.call('RPUSH', list, kept[nth]) end

local held = redis.call('LLEN', list)
redis.call('ZREMRANGEBYRANK', applied, 0, -1 - math.max(1000, 2 * held + steps))
if ARGV[8] ~= '' then redis.call('SET', summary, ARGV[8], 'NX', 'PX', ttl) end
if has_grown then
  live(list)
  live(summary)
end
live(applied)
live(epoch)
return held
