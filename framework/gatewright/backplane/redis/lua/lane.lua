-- The beginning of every script that reads or writes a lane.
--
-- Scripts do not roll back: each judges first, then writes, and publishes last.
--
-- KEYS: the lane's state, its messages, then a script's own.
-- ARGV: five of these, then a script's own.
local state, messages = KEYS[1], KEYS[2]
local fresh_epoch = ARGV[1]           -- a name that no epoch had before
local channel = ARGV[2]               -- where the lane is heard
local keep = tonumber(ARGV[3])        -- microseconds for which a message is kept
local most = tonumber(ARGV[4])        -- bytes that are kept of a lane
local lasting = tonumber(ARGV[5])     -- milliseconds for which records, and what they need, are kept
local MARGIN = 10e6                   -- microseconds; messages are trimmed that much later

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local epoch, n, seq, size, oldest_at, oldest_size, refreshed

-- Whoever comes after a loss finds no state, or one from before this server lived, or led (its
-- replid is another one then). Numbers that were told may have been lost: they are not used again.
-- The server is asked each time, which costs 2 µs: what a connection has learned may be outdated.
--
-- Returns what stands in one more field of the state.
local function begin(field)
    local known = redis.call(
        'HMGET', state, 'epoch', 'replid', 'n', 'seq', 'size', 'oldest_at', 'oldest_size', 'refreshed',
        field or ''
    )
    local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
    epoch, n, seq, size = known[1], tonumber(known[3] or 0), tonumber(known[4] or 0), tonumber(known[5] or 0)
    oldest_at, oldest_size, refreshed = tonumber(known[6] or 0), tonumber(known[7] or 0), tonumber(known[8] or 0)
    if epoch and known[2] == replid then
        return known[9]
    end
    epoch = fresh_epoch
    if n < now then
        n = now -- above every number that anybody may have been told
    end
    size, oldest_at, oldest_size, refreshed = 0, now, 0, 0
    redis.call('UNLINK', messages)
    redis.call(
        'HSET', state, 'epoch', epoch, 'replid', replid, 'n', n, 'seq', seq, 'size', 0,
        'oldest_at', now, 'oldest_size', 0, 'refreshed', 0
    )
    redis.call('PEXPIRE', state, 2 * lasting)
    return known[9]
end

-- The header is the same in a lane and on its channel (layout.py).
local function pack(count, body)
    return struct.pack('>BI8I8I4I8I8B', 1, n, seq, count, now, size, #epoch) .. epoch .. body
end

local function trim()
    local cut, from = nil, '-'
    for _ = 1, 8 do
        local entries = redis.call('XRANGE', messages, from, '+', 'COUNT', 16)
        for _, entry in ipairs(entries) do
            local _, number, _, _, at, before = struct.unpack('>BI8I8I4I8I8', entry[2][2])
            if number == n or (now - at <= keep and size - before <= most) then
                oldest_at, oldest_size = at, before
                entries = {}
                break
            end
            cut = number
            from = '(' .. entry[1]
        end
        if #entries < 16 then
            break
        end
    end
    if cut then
        redis.call('XTRIM', messages, 'MINID', '=', string.format('%d-0', cut + 1))
    end
    redis.call('HSET', state, 'oldest_at', oldest_at, 'oldest_size', oldest_size)
end

-- What lies idle goes by itself: messages soon, the numbers only when no record can be left.
local function refresh()
    if now - refreshed < keep / 4 then
        return
    end
    redis.call('PEXPIRE', state, 2 * lasting)
    redis.call('PEXPIRE', messages, math.ceil(keep / 500))
    redis.call('HSET', state, 'refreshed', now)
    for _, field in ipairs(redis.call('HKEYS', state)) do
        if string.sub(field, 1, 2) == 'b:' then
            local at = string.match(redis.call('HGET', state, field), '^%d+ %d+ %d+ (%d+) ')
            if not at or now - at > keep then
                redis.call('HDEL', state, field)
            end
        end
    end
end

-- Puts a message in the lane; it has yet to be published.
local function put(count, body, ...)
    n, seq = n + 1, seq + count
    local message = pack(count, body)
    redis.call('XADD', messages, string.format('%d-0', n), 'm', message)
    size = size + #message
    redis.call('HSET', state, 'n', n, 'seq', seq, 'size', size, ...)
    refresh()
    if now - oldest_at > keep + MARGIN or size - oldest_size > most + most / 16 then
        trim()
    end
    return message
end

local function mark(record, message)
    redis.call('HSET', record, string.format('m%d', n), message)
end
