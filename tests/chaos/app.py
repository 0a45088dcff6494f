# ruff: noqa: T201 — it tells its address
"""A small server to do violence to, in a process of its own: `python -m tests.chaos.app`.

`GET /figures` tells what it holds, `/blocks` how many blocks of memory that takes. Effects go to a
file, one line each, so that they are counted also when the process that had them was killed.
"""

import argparse
import asyncio
import gc
import logging
import os
import resource
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import msgspec
import uvicorn
from msgspec import Struct
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from gatewright import Connection, Emitter, Event, Gatewright, Settings, gateway, on
from gatewright.backplane import Backplane, Memory, SQLite
from gatewright.backplane.urls import connect
from gatewright.transports.links import EXTENSION
from tests.chaos.kernel import since_data
from tests.chaos.ports import listen

__all__ = ["Effects", "Figures", "Said", "build", "main"]


class Said(Event, event="said"):
    author: str
    text: str


class Asked(Event, event="asked"):
    question: str


class Figures(Struct):
    """What a server process holds."""

    pid: int
    connections: int
    namespaces: int
    rooms: int
    calls: int
    away: int
    sessions: int
    hearts: int
    outboxes: int
    tasks: int


class Effects:
    """Keys of effects in a file, which outlives the process that wrote them."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        self._done = 0

    def add(self, key: str) -> int:
        # One write of a short line at the end of a file is whole or is not.
        os.write(self._file, f"{key}\n".encode())
        self._done += 1
        return self._done

    @staticmethod
    def read(path: Path) -> "Counter[str]":
        """How often each key has had its effect."""
        return Counter(path.read_text(encoding="utf-8").splitlines())


class Arrivals:
    """Middleware that writes down when handshakes have reached this machine.

    The kernel knows; a server that has just been busy takes several at once.
    """

    def __init__(self, app: ASGIApp, times: deque[float]) -> None:
        self._app = app
        self._times = times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            transport = scope["extensions"][EXTENSION].transport
            self._times.append(time.monotonic() - since_data(transport.get_extra_info("socket")))
        await self._app(scope, receive, send)


def build(
    effects: Effects | None = None,
    backplane: Backplane | None = None,
    settings: Settings | None = None,
) -> Starlette:
    """The application; without `effects`, calls that have some fail."""

    @gateway("/chaos", emits=[Said, Asked])
    class Chaos:
        @on("join")
        async def join(self, connection: Connection, *, rooms: list[str]) -> list[str]:
            await connection.join(*rooms)
            return sorted(connection.rooms)

        @on("present")
        async def present(self, connection: Connection, room: str) -> None:
            await connection.join(room)
            await connection.track()

        @on("where")
        async def where(self) -> int:
            return os.getpid()

        @on("publish")
        async def publish(self, emitter: Emitter, room: str, author: str, text: str) -> int:
            """Returns the number of what was said."""
            return await emitter.to(room).emit(Said(author, text))

        @on("feed")
        async def feed(self, emitter: Emitter, rooms: list[str], size: int) -> None:
            """Something else to each of these rooms, of so many characters."""
            for room in rooms:
                await emitter.to(room).emit(Said(room, token_hex(size // 2)))

        @on("effect")
        async def effect(self, key: str) -> int:
            assert effects is not None, "started without a file for effects"
            return effects.add(key)

        @on("ask me")
        async def ask_me(self, connection: Connection, question: str) -> str:
            return await connection.call(Asked(question), str, timeout=3600)

        @on("count")
        async def count(self, to: int) -> AsyncIterator[int]:
            for number in range(to):
                yield number

        @on("wait")
        async def wait(self) -> None:
            await asyncio.Event().wait()

    realtime = Gatewright(
        gateways=[Chaos], backplane=backplane or Memory(), settings=settings or Settings()
    )

    async def figures(_: Request) -> JSONResponse:
        dispatcher = realtime._dispatcher
        assert dispatcher is not None
        node = dispatcher.node
        # Memory's own, or the copy that SQLite has of what it has written; others keep them away.
        started: Any = node.backplane._started  # type: ignore[attr-defined]
        sequences = getattr(started, "_sequences", started)
        live = getattr(sequences, "_live", {})
        told = Figures(
            pid=os.getpid(),
            connections=len(realtime),
            namespaces=len(node.namespaces),
            rooms=sum(len(each.rooms) for each in node.namespaces),
            calls=len(node.calls),
            away=len(dispatcher._absences),
            sessions=sum(len(each.sessions) for each in live.values()),
            hearts=len(node.wheel),
            outboxes=len(node.flusher._watched),
            tasks=len(asyncio.all_tasks()),
        )
        return JSONResponse(msgspec.to_builtins(told))

    arrivals: deque[float] = deque(maxlen=10_000)

    async def arrived(_: Request) -> JSONResponse:
        """When handshakes came in, in seconds of the system's monotonic clock."""
        return JSONResponse(list(arrivals))

    async def blocks(_: Request) -> JSONResponse:
        """How many blocks Python has allocated, whatever their size and the allocator's plans."""
        arrivals.clear()
        gc.collect()
        return JSONResponse(sys.getallocatedblocks())

    return Starlette(
        routes=[
            *realtime.routes,
            Route("/figures", figures),
            Route("/blocks", blocks),
            Route("/arrivals", arrived),
        ],
        middleware=[Middleware(Arrivals, times=arrivals)],
        lifespan=realtime.lifespan,
    )


def _backplane(named: str) -> Backplane:
    if named == "memory":
        return Memory()
    return connect(named) if "://" in named else SQLite(named)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="A server to do violence to.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--backplane", default="memory", help="memory, a URL, or a file")
    parser.add_argument("--effects", type=Path, help="the file that calls of `effect` write to")
    parser.add_argument("--settings", default="{}", help="gatewright.Settings as JSON")
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    app = build(
        Effects(options.effects) if options.effects else None,
        _backplane(options.backplane),
        msgspec.json.decode(options.settings, type=Settings),
    )
    with listen(options.port, options.host) as listener:
        print(f"http://{options.host}:{listener.getsockname()[1]}", flush=True)
        config = uvicorn.Config(
            app, log_config=None, lifespan="on", ws="gatewright.server:WebSocketProtocol"
        )
        uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
