-- Appends a message to the history of a topic and hands it to all nodes: all of this or nothing.
-- KEYS: the last position, the messages, the stamp.
-- ARGV: the message; how many are kept; for how many milliseconds; the epoch and the offset of the last position that the node
-- knows of, or '' and 0; the epoch to begin if one must begin; the channel; for how many milliseconds the stamp is kept.
-- Returns the position of the message, or of the first message with the stamp.
local first = redis.call('GET', KEYS[3])
if first then
  return first
end

local held = redis.call('HMGET', KEYS[1], 'epoch', 'top')
local epoch, top = held[1], tonumber(held[2] or '0')
if not epoch or (epoch == ARGV[4] and top < tonumber(ARGV[5])) then
  -- There is no history, or the end of the history is lost.
  redis.call('DEL', KEYS[1], KEYS[2])
  epoch = ARGV[6]
  redis.call('HSET', KEYS[1], 'epoch', epoch)
end

local offset = redis.call('HINCRBY', KEYS[1], 'top', 1)
local position = epoch .. '.' .. string.format('%.0f', offset)
redis.call('XADD', KEYS[2], 'MAXLEN', '=', ARGV[2], string.format('%.0f-0', offset), 'm', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('SET', KEYS[3], position, 'PX', ARGV[8])
redis.call('PUBLISH', ARGV[7], 'a' .. string.format('%.0f', offset - 1) .. ' ' .. position .. ' ' .. ARGV[1])
return position
