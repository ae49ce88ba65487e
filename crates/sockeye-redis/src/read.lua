-- Reads a part of the history of a topic.
-- KEYS: the last position, the messages.
-- ARGV: the epoch and the offset after which the part begins, or '' and 0 for the newest messages; how many messages at most;
-- after how many bytes the part ends.
-- Returns nothing if there is no history; else the epoch, the last offset, whether nothing is missing before the part, whether
-- nothing is after the part, and then the offset and the text of each message.
local held = redis.call('HMGET', KEYS[1], 'epoch', 'top')
if not held[1] then
  return false
end
local epoch, top, most = held[1], held[2], tonumber(ARGV[3])
local page = { epoch, top, 1, 1 }

local function add(entry)
  page[#page + 1] = string.match(entry[1], '^%d+')
  page[#page + 1] = entry[2][2]
end

local function range(from, count)
  return redis.call('XRANGE', KEYS[2], string.format('%.0f', from), '+', 'COUNT', count)
end

if ARGV[1] == '' then
  local newest = most > 0 and redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', most) or {}
  for index = #newest, 1, -1 do
    add(newest[index])
  end
  return page
end

local after, last = tonumber(ARGV[2]), tonumber(top)
local next = 1
if ARGV[1] == epoch and after <= last then
  next = after + 1
  local first = range(next, 1)[1]
  local follows = first and tonumber(string.match(first[1], '^%d+')) or last + 1
  page[3] = follows == next and 1 or 0
else
  page[3] = 0
end

local count, bytes = 0, 0
while count < most and bytes < tonumber(ARGV[4]) do
  local entries = range(next, math.min(most - count, 32))
  if #entries == 0 then
    return page
  end
  for _, entry in ipairs(entries) do
    add(entry)
    count, bytes = count + 1, bytes + #entry[2][2]
    next = tonumber(string.match(entry[1], '^%d+')) + 1
    if bytes >= tonumber(ARGV[4]) then
      break
    end
  end
end
page[4] = #range(next, 1) == 0 and 1 or 0
return page
