-- The state of a window: the run of Redis that it was filled in, the version that it has, and whether it is there. nil if nothing is known.
local function state_of(key)
  local run, version, there = string.match(redis.call('GET', key) or '', '^(%S+) (%d+) ([01])$')
  return run, tonumber(version), there == '1'
end

local function set_state(key, run, version, there, ttl)
  redis.call('SET', key, run .. ' ' .. version .. ' ' .. (there and '1' or '0'), 'PX', ttl)
end

local function live(keys, ttl)
  for _, key in ipairs(keys) do redis.call('PEXPIRE', key, ttl) end
end
