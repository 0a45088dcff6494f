"""What Linux knows of the connections of a port."""

import socket
import struct
from pathlib import Path

__all__ = ["send_queues", "since_data"]

ESTABLISHED = "01"

LAST_DATA_RECEIVED = struct.Struct("52xI")
"""Milliseconds since then, in `struct tcp_info` of <linux/tcp.h>."""


def send_queues(port: int) -> dict[int, int]:
    """Bytes that the kernel has taken from the server at `port` and that are not acknowledged.

    By the peer's port, for connections that are established; IPv4.
    """
    local = f":{port:04X}"
    queues: dict[int, int] = {}
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        _, here, there, state, sizes, *_ = line.split()
        if here.endswith(local) and state == ESTABLISHED:
            queues[int(there[-4:], 16)] = int(sizes.split(":")[0], 16)
    return queues


def since_data(sock: socket.socket) -> float:
    """How long ago the last data of a TCP socket was received, in seconds, read or not."""
    size = LAST_DATA_RECEIVED.size
    (milliseconds,) = LAST_DATA_RECEIVED.unpack(
        sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, size)
    )
    return float(milliseconds) / 1000
