-- ARGV[9…]: the version that is removed, whether there is a marker, the marker.
local version, marker = ARGV[9], ARGV[10] == '1' and ARGV[11]

if redis.call('HGET', record, 'version') ~= version then
    return 0
end

begin()
redis.call('DEL', record)
for i = 4, #KEYS do
    if redis.call('GET', KEYS[i]) == id then
        redis.call('DEL', KEYS[i])
    end
end
if marker then
    redis.call('SPUBLISH', channel, put(0, marker))
end
return 1
