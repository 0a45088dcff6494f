"""Real backplanes that processes can share, by URL, with a prefix that no other test has."""

from secrets import token_hex

from tests._support.natses import shared_server as nats
from tests._support.redises import shared_server as redis

__all__ = ["BACKPLANES", "new_backplane"]

BACKPLANES = ("redis", "nats")


def new_backplane(name: str) -> str:
    """The URL of one in which there is nothing yet."""
    url = redis().url if name == "redis" else nats()
    return f"{url}?prefix=test{token_hex(4)}"
