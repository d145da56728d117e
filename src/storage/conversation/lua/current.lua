-- Nothing unless the window is there and is of this run of Redis.
-- KEYS: messages, summary, state    ARGV[2]: run
do
  local run, _, there = state_of(KEYS)
  if run ~= ARGV[2] or not there then return {} end
end
