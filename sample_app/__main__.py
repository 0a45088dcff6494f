"""Runs the sample application: `python -m sample_app`."""

import argparse
import contextlib
import socket
import sys
from pathlib import Path

import uvicorn

from sample_app.app import build

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Serve until Ctrl+C; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m sample_app", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", default=8000, type=int, help="0 takes a free one (%(default)s)")
    parser.add_argument("--database", default=Path("miaou.db"), type=Path, help="(%(default)s)")
    chosen = parser.parse_args(arguments)
    try:
        listener = listen(chosen.host, chosen.port)
    except (OSError, OverflowError) as error:
        print(
            f"Cannot listen on {chosen.host}, port {chosen.port}: {error}.\n"
            f"Choose another port, for instance: python -m sample_app --port {chosen.port + 1}, "
            "or --port 0 for a free one.",
            file=sys.stderr,
        )
        return 1
    with listener:
        port = listener.getsockname()[1]
        host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        print(f"Miaou is at http://{host}:{port}/ (Ctrl+C ends it)", flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                build(chosen.database),
                log_level="warning",
                lifespan="on",
                # Inside a Starlette application it is this class that lets us at the socket.
                ws="gatewright.server:WebSocketProtocol",
            )
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    return 0 if server.started else 1


def listen(host: str, port: int) -> socket.socket:
    """Listen before uvicorn does: a taken port is told in our words, and 0 becomes a number."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


if __name__ == "__main__":
    sys.exit(main())
