-- KEYS: the reminders. ARGV: when (seconds), of what, and how long nobody need look (milliseconds).
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
