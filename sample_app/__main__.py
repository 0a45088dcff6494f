"""Runs the sample application: `python -m sample_app`."""

import argparse
import contextlib
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewright.errors import StartupError
from sample_app.app import build

__all__ = ["main"]

REFUSED = f"{StartupError.__module__}.{StartupError.__name__}: "


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
            "Perhaps Miaou runs there already. A second one needs a port and a file of its own:\n"
            f'  make run ARGS="--port {chosen.port + 1} --database other.db"',
            file=sys.stderr,
        )
        return 1
    with listener:
        port = listener.getsockname()[1]
        host = f"[{chosen.host}]" if ":" in chosen.host else chosen.host
        server = Server(
            uvicorn.Config(
                brief(build(chosen.database)),
                log_level="warning",
                lifespan="on",
                # Inside a Starlette application it is this class that lets us at the socket.
                ws="gatewright.server:WebSocketProtocol",
            ),
            f"Miaou is at http://{host}:{port}/ (Ctrl+C ends it)",
        )
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])
    return 0 if server.started else 1


class Server(uvicorn.Server):
    """Says where it is when it is there, and not before."""

    def __init__(self, config: uvicorn.Config, greeting: str) -> None:
        super().__init__(config)
        self.greeting = greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(self.greeting, flush=True)


def brief(app: ASGIApp) -> ASGIApp:
    """Let a refused start say its reason alone, which tells what to do, without a traceback."""

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        async def tell(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                reason = message["message"].strip().rpartition("\n")[2]
                if reason.startswith(REFUSED):
                    message = {**message, "message": reason.removeprefix(REFUSED)}
            await send(message)

        await app(scope, receive, tell if scope["type"] == "lifespan" else send)

    return run


def listen(host: str, port: int) -> socket.socket:
    """Listen before uvicorn does: a taken port is told in our words, and 0 becomes a number."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


if __name__ == "__main__":
    sys.exit(main())
