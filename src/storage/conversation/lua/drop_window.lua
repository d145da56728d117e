-- Drops a window that is older than this version. Without a version, what Redis has stays for those who go without Postgres, and is no window.
-- KEYS: messages, summary, state    ARGV: run, version or '', how long it is known that there is no window, in milliseconds
local run, known, there = state_of(KEYS)
local version = tonumber(ARGV[2]) or known or 0
if run == ARGV[1] and ARGV[2] ~= '' and (known > version or (known == version and there)) then return 0 end
if ARGV[2] ~= '' then redis.call('DEL', KEYS[1], KEYS[2]) end
set_state(KEYS, ARGV[1], string.format('%d', version), false, ARGV[3])
return 1
