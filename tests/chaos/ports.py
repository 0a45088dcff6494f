"""Ports that can be left and taken again, as servers that restart do."""

import random
import socket
from pathlib import Path

__all__ = ["lasting_port", "listen"]

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
LOWEST = 10_000


def lasting_port(host: str = "127.0.0.1") -> int:
    """A free port that no outgoing connection will be given while nobody listens on it.

    Port 0 hands out ports of the range that outgoing connections get as well: with thousands of
    clients on one machine, a server that comes back may find its own taken by one of them.
    """
    try:
        highest = int(RANGE.read_text(encoding="ascii").split()[0]) - 1
    except OSError:
        highest = 32_000
    for _ in range(100):
        port = random.randint(LOWEST, highest)
        try:
            socket.create_server((host, port)).close()
        except OSError:
            continue
        return port
    raise OSError(f"no free port of {host} between {LOWEST} and {highest} after 100 tries")


def listen(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A listener that does not block, with room for a thundering herd."""
    listener = socket.create_server((host, port), backlog=4096)
    listener.setblocking(False)
    return listener
