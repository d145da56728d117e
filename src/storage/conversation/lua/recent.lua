-- The newest messages: the summary or '', messages, newest first.
-- KEYS: messages, summary    ARGV: how many
local found = { redis.call('GET', KEYS[2]) or '' }
local count = tonumber(ARGV[1])
if count > 0 then
  for _, message in ipairs(redis.call('LRANGE', KEYS[1], 0, count - 1)) do found[#found + 1] = message end
end
return found
