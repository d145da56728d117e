-- The newest messages up to a number of characters and every system message: the summary or '', messages, newest first.
-- KEYS: messages, summary    ARGV: characters
local budget = tonumber(ARGV[1])
local found = { redis.call('GET', KEYS[2]) or '' }
local held = redis.call('LLEN', KEYS[1])

local function characters(message)
  local read, value = pcall(cjson.decode, message)
  if not read or type(value) ~= 'table' then value = { content = message } end
  if type(value.content) ~= 'string' then return 0 end
  -- Every byte of UTF-8 but those that continue a character.
  return select(2, string.gsub(value.content, '[^\128-\191]', ''))
end

for first = 0, held - 1, 100 do
  for _, message in ipairs(redis.call('LRANGE', KEYS[1], first, first + 99)) do
    if is_system(message) then
      found[#found + 1] = message
    elseif budget >= 0 then
      budget = budget - characters(message)
      if budget >= 0 then found[#found + 1] = message end
    end
  end
end
return found
