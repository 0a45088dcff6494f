"""The backplane over Redis; it needs the extra `gatewright[redis]`."""

from gatewright.backplane.redis.log import RedisLog

__all__ = ["RedisLog"]
