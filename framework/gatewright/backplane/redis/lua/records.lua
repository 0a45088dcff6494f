-- What the scripts of records have in common.
--
-- KEYS[3]: the record; KEYS[4…]: the index, an entry for each key that comes or goes.
-- ARGV[6…]: the session's id, and how the names of records and of the index's entries begin.
local record = KEYS[3]
local id, records, index = ARGV[6], ARGV[7], ARGV[8]

-- Another session has this key. An entry may be left of one that is not there any more.
local function taken(entry)
    local owner = redis.call('GET', entry)
    return owner and owner ~= id and redis.call('EXISTS', records .. owner) == 1
end

-- Nothing stays for ever when all nodes die. Its names are in the record: the index must not go
-- before it.
local function last_longer(fresh, keys)
    if now - fresh < lasting * 250 then
        return
    end
    redis.call('HSET', record, 'refreshed', now)
    redis.call('PEXPIRE', record, lasting)
    for key in string.gmatch(keys, '%S+') do
        redis.call('PEXPIRE', index .. key, lasting)
    end
end
