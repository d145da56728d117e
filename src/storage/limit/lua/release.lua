local function release(leases, amounts, id)
  local amount = redis.call('HGET', amounts, id)
  if not amount then return end
  redis.call('ZREM', leases, id)
  redis.call('HDEL', amounts, id)
  if redis.call('HINCRBY', amounts, 'sum', -amount) <= 0 and redis.call('HLEN', amounts) == 1 then
    redis.call('DEL', amounts)
  end
end
