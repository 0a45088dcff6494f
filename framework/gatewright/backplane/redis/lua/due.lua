-- KEYS: the reminders. ARGV: now, when these are told again (seconds), and how many at most.
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, each in ipairs(due) do
    redis.call('ZADD', KEYS[1], ARGV[2], each)
end
return due
