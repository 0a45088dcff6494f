-- ARGV[9…]: the record, its version, its keys in hexadecimal digits.
local text, version = ARGV[9], ARGV[10]

local known = redis.call('HGET', record, 'version')
if known and known ~= version then
    return false
end
if not known then
    for i = 4, #KEYS do
        if taken(KEYS[i]) then
            return false
        end
    end
end

begin()
if not known then
    redis.call(
        'HSET', record, 'record', text, 'version', version, 'keys', table.concat(ARGV, ' ', 11),
        'refreshed', now
    )
    redis.call('PEXPIRE', record, lasting)
    for i = 4, #KEYS do
        redis.call('SET', KEYS[i], id, 'PX', lasting)
    end
    refresh()
end
return { epoch, n, seq }
