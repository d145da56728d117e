-- Adds messages to a window that has the version before; drops one that has another, unless that is newer. Returns whether they were added.
-- KEYS: messages, summary, state
-- ARGV: run, version, how many messages there are now, time to live in milliseconds, how long it is known that there is no window, messages
local list, summary = KEYS[1], KEYS[2]
local version = tonumber(ARGV[2])
local run, known, there = state_of(KEYS)
if run == ARGV[1] and known >= version then return 0 end
if run ~= ARGV[1] or not there or known ~= version - 1 then
  redis.call('DEL', list, summary)
  set_state(KEYS, ARGV[1], ARGV[2], false, ARGV[5])
  return 0
end

for nth = 6, #ARGV do redis.call('LPUSH', list, ARGV[nth]) end
-- What is beyond the limit goes, system messages last.
local surplus = redis.call('LLEN', list) - tonumber(ARGV[3])
local kept = {}
while surplus > 0 do
  local message = redis.call('RPOP', list)
  if not message then break end
  if is_system(message) then kept[#kept + 1] = message else surplus = surplus - 1 end
end
for nth = #kept, math.max(surplus, 0) + 1, -1 do redis.call('RPUSH', list, kept[nth]) end
set_state(KEYS, ARGV[1], ARGV[2], true, ARGV[4])
live({ list, summary }, ARGV[4])
return 1
