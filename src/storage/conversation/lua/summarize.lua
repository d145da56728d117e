-- Puts a summary in the place of the oldest messages, if they still are what they were.
-- KEYS: messages, summary, epoch    ARGV: the epoch they were read in, the summary, the messages, oldest first
local list, summary, epoch = KEYS[1], KEYS[2], KEYS[3]
if (redis.call('GET', epoch) or '') ~= ARGV[1] then return 0 end

local ttl = redis.call('PTTL', list)
local popped, system, expected = {}, {}, 3
while expected <= #ARGV do
  local message = redis.call('RPOP', list)
  if not message then break end
  popped[#popped + 1] = message
  if message == ARGV[expected] then
    expected = expected + 1
  elseif is_system(message) then
    system[#system + 1] = message
  else
    break
  end
end

local summarized = expected > #ARGV
local back = summarized and system or popped
for nth = #back, 1, -1 do redis.call('RPUSH', list, back[nth]) end
if summarized then redis.call('SET', summary, ARGV[2]) end
-- A list that was empty in between has lost its expiry.
if ttl > 0 then
  redis.call('PEXPIRE', list, ttl)
  redis.call('PEXPIRE', summary, ttl)
end
return summarized and 1 or 0
