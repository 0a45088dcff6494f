-- ARGV[9…]: the record, its version, the version it replaces, the number up to which it has its
-- marks, whether there is a marker, the marker, how many keys come; then those, then those that go.
local text, version, before, folded = ARGV[9], ARGV[10], ARGV[11], tonumber(ARGV[12])
local marker, coming = ARGV[13] == '1' and ARGV[14], tonumber(ARGV[15])

local function reply(at_epoch, at_n, at_seq)
    local replaced = { at_epoch, at_n, at_seq }
    local fields = redis.call('HGETALL', record)
    for i = 1, #fields, 2 do
        local number = string.match(fields[i], '^m(%d+)$')
        if number and tonumber(number) <= at_n then
            replaced[#replaced + 1] = fields[i + 1]
        end
    end
    return replaced
end

local known = redis.call('HMGET', record, 'version', 'keys', 'refreshed', 'last')
if known[1] == version and known[4] then
    local at_n, at_seq, at_epoch = string.match(known[4], '^(%d+) (%d+) (.*)$')
    return reply(at_epoch, tonumber(at_n), tonumber(at_seq))
end
if known[1] ~= before then
    return false
end
for i = 4, 3 + coming do
    if taken(KEYS[i]) then
        return false
    end
end

begin()
local keys = {}
for key in string.gmatch(known[2], '%S+') do
    keys[key] = true
end
for i = 4, #KEYS do
    local key = ARGV[12 + i]
    keys[key] = nil
    if i <= 3 + coming then
        keys[key] = true
        redis.call('SET', KEYS[i], id, 'PX', lasting)
    elseif redis.call('GET', KEYS[i]) == id then
        redis.call('DEL', KEYS[i])
    end
end
local names = {}
for key in pairs(keys) do
    names[#names + 1] = key
end
for _, field in ipairs(redis.call('HKEYS', record)) do
    local number = string.match(field, '^m(%d+)$')
    if number and tonumber(number) <= folded then
        redis.call('HDEL', record, field)
    end
end
local message
if marker then
    message = put(0, marker)
    mark(record, message)
else
    refresh()
end
names = table.concat(names, ' ')
redis.call(
    'HSET', record, 'record', text, 'version', version, 'keys', names,
    'last', string.format('%d %d %s', n, seq, epoch)
)
last_longer(tonumber(known[3]), names)
local replaced = reply(epoch, n, seq)
if message then
    redis.call('SPUBLISH', channel, message)
end
return replaced
