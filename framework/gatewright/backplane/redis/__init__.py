"""The backplane of nodes that share a Redis; it needs the extra `gatewright[redis]`."""

from gatewright.backplane.redis.backplane import Redis

__all__ = ["Redis"]
