-- What Redis knows of a conversation: whether it has messages (0 or 1), and which of these steps it carried out: the place of
-- the first one among them, 0 if none.
-- KEYS: messages, ids of steps    ARGV: ids of steps, newest first
local exists = redis.call('EXISTS', KEYS[1])
for nth, id in ipairs(ARGV) do
  -- A key of another kind knows none.
  if type(redis.pcall('ZSCORE', KEYS[2], id)) == 'string' then return { exists, nth } end
end
return { exists, 0 }
