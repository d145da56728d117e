-- Carries out operations of one conversation, oldest first; one that was carried out before is skipped.
-- KEYS: messages, summary, ids of operations, epoch
-- ARGV: now, time to live, whether that may be shortened ('1'), most messages, id of a clearing or '', time up to which it
-- clears or '' for everything, summary or '', whether messages are put between those that are there by their time ('1'), and
-- for each operation: its id, how many messages it has, the messages.
-- Times are in milliseconds, that of a clearing is written as in messages.
local list, summary, applied, epoch = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, ttl, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local cleared, until_time = ARGV[5], ARGV[6]

local function is_new(id)
  return redis.call('ZADD', applied, 'NX', now, id) == 1
end

local function live(key)
  if ARGV[3] == '1' or redis.call('PTTL', key) < ttl then redis.call('PEXPIRE', key, ttl) end
end

-- When a message was said; '' if it does not tell.
local function time_of(message)
  local read, value = pcall(cjson.decode, message)
  return read and type(value) == 'table' and type(value.timestamp) == 'string' and value.timestamp or ''
end

-- A clearing that comes late spares what was said after it.
local function is_later(message)
  return until_time ~= '' and time_of(message) > until_time
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

local at, operations, fresh = 9, 0, {}
while at <= #ARGV do
  local count = tonumber(ARGV[at + 1])
  if is_new(ARGV[at]) then
    for nth = at + 2, at + 1 + count do fresh[#fresh + 1] = ARGV[nth] end
  end
  operations = operations + 1
  at = at + 2 + count
end

-- Puts messages between those that are there: what is newer than the first of them is taken off, and put back among them.
local function put_by_time(messages)
  local first, lived, newer = time_of(messages[1]), redis.call('PTTL', list), {}
  local head = redis.call('LINDEX', list, 0)
  while head do
    local time = time_of(head)
    if time ~= '' and time <= first then break end
    newer[#newer + 1] = { message = redis.call('LPOP', list), time = time }
    head = redis.call('LINDEX', list, 0)
  end
  local at = 1
  for nth = #newer, 1, -1 do
    while messages[at] and time_of(messages[at]) < newer[nth].time do
      redis.call('LPUSH', list, messages[at])
      at = at + 1
    end
    redis.call('LPUSH', list, newer[nth].message)
  end
  for nth = at, #messages do redis.call('LPUSH', list, messages[nth]) end
  if lived > 0 then redis.call('PEXPIRE', list, lived) end
end

if ARGV[8] == '1' and #fresh > 0 then
  put_by_time(fresh)
else
  for _, message in ipairs(fresh) do redis.call('LPUSH', list, message) end
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

-- Each server may have summed up other turns: what one gives back is added to what is there.
local held, given = redis.call('LLEN', list), ARGV[7]
if given ~= '' and is_new('summary ' .. redis.sha1hex(given)) then
  local there = redis.call('GET', summary)
  if not there then
    redis.call('SET', summary, given, 'PX', math.max(ttl, redis.call('PTTL', list)))
  elseif not string.find(there, given, 1, true) then
    local lived = redis.call('PTTL', summary)
    redis.call('SET', summary, there .. '\n' .. given)
    if lived > 0 then redis.call('PEXPIRE', summary, lived) end
  end
end
redis.call('ZREMRANGEBYRANK', applied, 0, -1 - math.max(1000, 2 * held + operations))
if #fresh > 0 then
  live(list)
  live(summary)
end
live(applied)
live(epoch)
return held
