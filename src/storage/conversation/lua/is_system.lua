local function is_system(message)
  if not string.find(message, '"system"', 1, true) then return false end
  local read, value = pcall(cjson.decode, message)
  return read and type(value) == 'table' and value.role == 'system'
end
