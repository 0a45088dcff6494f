-- KEYS[3]: the record of the member that this is a marker of, if any.
local body, count, node, number = ARGV[6], tonumber(ARGV[7]), ARGV[8], tonumber(ARGV[9])
local record = KEYS[3]

local field = 'b:' .. node
local last = begin(field)
if last then
    local known, at_n, at_seq, at_epoch = string.match(last, '^(%d+) (%d+) (%d+) %d+ (.*)$')
    if tonumber(known) == number then
        return { at_epoch, tonumber(at_n), tonumber(at_seq) }
    end
    if tonumber(known) > number then
        -- Sent before a later one, and arrived behind it: nobody waits for it any more.
        return redis.error_reply('STALE number ' .. ARGV[9] .. ' comes after ' .. known)
    end
end
local marked = record and redis.call('HEXISTS', record, 'version') == 1

local message = put(
    count, body, field, string.format('%d %d %d %d %s', number, n + 1, seq + count, now, epoch)
)
if marked then
    mark(record, message)
end
redis.call('SPUBLISH', channel, message)
return { epoch, n, seq }
