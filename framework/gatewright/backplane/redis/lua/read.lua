local after, bytes, count = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

begin()
local page = { epoch, n, seq, after }
local from, taken = string.format('(%d-0', after), 0
while after < n and taken < bytes and #page < count do
    local entries = redis.call('XRANGE', messages, from, '+', 'COUNT', 16)
    for _, entry in ipairs(entries) do
        if #page == 4 then
            local _, first = struct.unpack('>BI8', entry[2][2])
            page[4] = first - 1
        end
        page[#page + 1] = entry[2][2]
        taken = taken + #entry[2][2]
        from = '(' .. entry[1]
        if taken >= bytes then
            break
        end
    end
    if #entries < 16 then
        break
    end
end
if #page == 4 and after < n then
    page[4] = n -- nothing is left of what came after
end
return page
