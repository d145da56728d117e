-- Puts a conversation in the place of its window, unless that is as new.
-- KEYS: messages, summary, state    ARGV: run, version, time to live in milliseconds, the summary or '', messages, oldest first
local list, summary = KEYS[1], KEYS[2]
local version = tonumber(ARGV[2])
local run, known, there = state_of(KEYS)
if run == ARGV[1] and (known > version or (known == version and there)) then return 0 end
redis.call('DEL', list, summary)
for nth = 5, #ARGV do redis.call('LPUSH', list, ARGV[nth]) end
if ARGV[4] ~= '' then redis.call('SET', summary, ARGV[4]) end
set_state(KEYS, ARGV[1], ARGV[2], true, ARGV[3])
live({ list, summary }, ARGV[3])
return 1
