-- The oldest messages beyond the newest, system messages left out: the epoch, the summary or '', messages, oldest first.
-- KEYS: messages, summary, epoch    ARGV: how many of the newest stay, how many to give
local keep, max = tonumber(ARGV[1]), tonumber(ARGV[2])
local found = { redis.call('GET', KEYS[3]) or '', redis.call('GET', KEYS[2]) or '' }
-- System messages pile up at the old end, so it goes on until enough others are found.
local last = redis.call('LLEN', KEYS[1]) - 1
while last >= keep and #found < max + 2 do
  local first = math.max(keep, last - 2 * max)
  local oldest = redis.call('LRANGE', KEYS[1], first, last)
  for nth = #oldest, 1, -1 do
    if #found == max + 2 then break end
    if not is_system(oldest[nth]) then found[#found + 1] = oldest[nth] end
  end
  last = first - 1
end
return found
