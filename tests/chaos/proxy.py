"""A TCP proxy in the test's own loop, which breaks connections in the ways that networks do.

```python
async with proxy(url) as network, connect(f"{network.url.ws}/chat") as socket:
    network.blackhole()  # from now on nobody hears anything, and TCP is content
```

Every fault can be switched at run time, for all connections of a proxy (also those to come) or for
one of them (`network.wires`), in both directions or in one: "up" is from the client to the server.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Literal
from urllib.parse import urlsplit

from tests._support.server import Url
from tests.chaos.faults import Direction, Faults, Switches
from tests.chaos.frames import FrameReader
from tests.chaos.ports import lasting_port, listen

__all__ = ["Lane", "Proxy", "Side", "Wire", "proxy"]

Side = Literal["client", "server"]
Address = tuple[str, int]

CHUNK = 64 * 1024
PAUSE = 0.001
"""Seconds between slices: sent at once, one read would get several."""
RESET = struct.pack("ii", 1, 0)


class _Broken(Exception):
    """The connection is to be cut."""


class Lane:
    """One direction of a connection, and the bytes and data frames that have passed."""

    def __init__(self, source: socket.socket, sink: socket.socket, faults: Faults) -> None:
        self.faults = faults
        self.passed = 0
        self.frames = 0
        self._source = source
        self._sink = sink
        self._reader = FrameReader()
        self._held = b""

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        faults = self.faults
        while True:
            await faults.flowing.wait()
            try:
                data = await loop.sock_recv(self._source, CHUNK)
            except OSError as error:
                if faults.swallows:
                    return
                raise _Broken from error
            if faults.delay:
                await asyncio.sleep(faults.delay)
            await faults.flowing.wait()
            if faults.swallows:
                if not data:
                    return
                self._reader.feed(data)  # to know where frames end when it is healed
                continue
            try:
                if not data:
                    self._sink.shutdown(socket.SHUT_WR)
                    return
                await self._forward(data)
            except OSError as error:
                if not faults.swallows:
                    raise _Broken from error

    async def _forward(self, data: bytes) -> None:
        ends = self._reader.feed(data)
        self.frames += sum(frame.is_data for _, frame in ends)
        trigger = self.faults.trigger
        if self._held:
            ends = [(end + len(self._held), frame) for end, frame in ends]
            data = self._held + data
            self._held = b""
        if trigger is None or trigger.fired.is_set():
            await self._send(data)
            return
        cut = trigger.cut(data, ends)
        if cut is not None:
            trigger.fired.set()
            await self._send(data[:cut])
            raise _Broken
        if trigger.looks_at_frames and (begun := self._reader.begun):
            # What it is will be known at its end; nothing of it may have passed by then.
            data, self._held = data[:-begun], data[-begun:]
        await self._send(data)

    async def _send(self, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        view = memoryview(data)
        while view:
            size = self.faults.piece or len(view)
            await loop.sock_sendall(self._sink, view[:size])
            self.passed += len(view[:size])
            view = view[size:]
            if view:
                await asyncio.sleep(PAUSE)


class Wire(Switches):
    """One connection through the proxy."""

    def __init__(self, client: socket.socket, up: Faults, down: Faults) -> None:
        self._sockets: dict[Side, socket.socket] = {"client": client, "server": socket.socket()}
        for each in self._sockets.values():
            each.setblocking(False)
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server = self._sockets["server"]
        self.up = Lane(client, server, up)
        self.down = Lane(server, client, down)
        self.ended = asyncio.Event()
        self._tasks: dict[Side, asyncio.Task[None]] = {}
        self._resets = False

    def _faults(self, direction: Direction | None) -> Iterable[Faults]:
        if direction != "down":
            yield self.up.faults
        if direction != "up":
            yield self.down.faults

    def cut(self, side: Side | None = None) -> None:
        """RST to both sides, or to one, while the other goes on believing in the connection."""
        if side is None:
            self._resets = True
            for task in self._tasks.values():
                task.cancel()
            return
        self.blackhole()
        self.heal_stall()
        dropped = self._sockets[side]
        if side in self._tasks:
            self._tasks[side].add_done_callback(lambda _: _reset(dropped))
            self._tasks[side].cancel()

    def close(self, side: Side | None = None) -> None:
        """FIN to both sides, or to one; from then on nothing is passed on."""
        self.blackhole()
        self.heal_stall()
        for name, each in self._sockets.items():
            if side in {None, name}:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_WR)

    def heal_stall(self) -> None:
        """Read again: what was held back by a stall flows, or is swallowed."""
        for faults in self._faults(None):
            faults.flowing.set()

    async def run(self, upstream: Address) -> None:
        """Carry the connection until both its sides have ended, or it is cut."""
        try:
            if not self.up.faults.swallows:
                await asyncio.get_running_loop().sock_connect(self._sockets["server"], upstream)
                self._tasks["server"] = asyncio.create_task(self.down.run(), name="chaos: down")
            # One that begins in a black hole stays there: the server never hears of it.
            self._tasks["client"] = asyncio.create_task(self.up.run(), name="chaos: up")
            tasks = self._tasks.values()
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                if not task.cancelled() and (error := task.exception()) is not None:
                    self._resets = True
                    if not isinstance(error, _Broken):
                        raise error
        except OSError:
            self._resets = True  # nobody is there
        finally:
            await self._end()

    async def _end(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks.values())
        finally:
            # Also when the proxy ends in the midst of it.
            for each in self._sockets.values():
                if self._resets:
                    _reset(each)
                each.close()
            self.ended.set()


class Proxy(Switches):
    """Listens at `url` and carries what comes to `upstream`, `http://host:port`.

    With `others` connections go to each in its turn, and where nobody listens to the next one.
    """

    def __init__(self, upstream: str, *others: str) -> None:
        self._others = list(others)
        self.port = lasting_port()
        self.url = Url(f"http://127.0.0.1:{self.port}")
        self.upstream = upstream
        """Where new connections go; another server may take the place of one that was killed."""
        self.wires: list[Wire] = []
        """The connections that live, in the order in which they came."""
        self.accepted = 0
        self._up = Faults()
        self._down = Faults()
        self._running: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    def _faults(self, direction: Direction | None) -> Iterable[Faults]:
        if direction != "down":
            yield self._up
        if direction != "up":
            yield self._down
        for wire in self.wires:
            yield from wire._faults(direction)

    def cut(self, side: Side | None = None) -> None:
        """Cut all connections that there are."""
        for wire in self.wires:
            wire.cut(side)

    def close(self, side: Side | None = None) -> None:
        """Close all connections that there are."""
        for wire in self.wires:
            wire.close(side)

    def admit(self) -> None:
        """Accept connections, again if it has refused them."""
        if self._accepting is None:
            listener = listen(self.port)
            self._accepting = asyncio.create_task(self._accept(listener), name="chaos: accept")

    async def refuse(self) -> None:
        """Listen no more: new connections are refused, those there are go on."""
        if self._accepting is not None:
            accepting, self._accepting = self._accepting, None
            accepting.cancel()
            await asyncio.wait([accepting])

    async def end(self) -> None:
        await self.refuse()
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listener:
            while True:
                client, _ = await loop.sock_accept(listener)
                wire = Wire(client, Faults(self._up), Faults(self._down))
                self.wires.append(wire)
                self.accepted += 1
                task = asyncio.create_task(self._carry(wire), name="chaos: wire")
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _carry(self, wire: Wire) -> None:
        try:
            await wire.run(await self._next())
        finally:
            self.wires.remove(wire)

    async def _next(self) -> Address:
        address = _address(self.upstream)
        for _ in self._others:
            address = _address(self.upstream)
            self._others.append(self.upstream)
            self.upstream = self._others.pop(0)
            with socket.socket() as probe, contextlib.suppress(OSError):
                probe.setblocking(False)
                await asyncio.get_running_loop().sock_connect(probe, address)
                break
        return address


def _address(url: str) -> Address:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _reset(sock: socket.socket) -> None:
    if sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        sock.close()


@asynccontextmanager
async def proxy(upstream: str, *others: str) -> AsyncGenerator[Proxy]:
    """A proxy in front of `upstream`, `http://host:port`, until the block ends."""
    running = Proxy(upstream, *others)
    running.admit()
    try:
        yield running
    finally:
        await running.end()
