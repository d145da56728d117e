-- What a window should have: how many messages, and whether there is a summary. Redis evicts one key without the other.
local function content_of(list, summary)
  return redis.call('LLEN', list) .. ' ' .. redis.call('EXISTS', summary)
end

-- The state of a window: the run of Redis that it was filled in, the version, and whether it is there, whole. nil if nothing is known.
local function state_of(keys)
  local run, version, content = string.match(redis.call('GET', keys[3]) or '', '^(%S+) (%d+) ?(.*)$')
  return run, tonumber(version), content ~= nil and content ~= '' and content == content_of(keys[1], keys[2])
end

local function set_state(keys, run, version, there, ttl)
  local content = there and ' ' .. content_of(keys[1], keys[2]) or ''
  redis.call('SET', keys[3], run .. ' ' .. version .. content, 'PX', ttl)
end

local function live(keys, ttl)
  for _, key in ipairs(keys) do redis.call('PEXPIRE', key, ttl) end
end
