"""The servers: one, or the primaries of a cluster with the slots that each has."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from redis.exceptions import (
    AskError,
    ClusterDownError,
    MovedError,
    NoScriptError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from gatewright.backplane.redis.connections import TICK, Link, reason
from gatewright.backplane.redis.line import Line
from gatewright.backplane.redis.options import SILENCE, Address, Options
from gatewright.backplane.redis.scripts import Script
from gatewright.backplane.shared.log import Unreachable

__all__ = ["Servers"]

logger: logging.Logger = logging.getLogger("gatewright")

SLOTS: Final = 16384
PAUSE: Final = 0.05
"""Seconds between two attempts while a slot is on its way."""


class Servers:
    """Finds the server of a slot, and asks it; what it is to do is done at most once.

    `opened` is told of each new connection, `moved` when slots may have moved.
    """

    def __init__(
        self, options: Options, opened: Callable[[Line], None], moved: Callable[[], None]
    ) -> None:
        self.options = options
        self._opened = opened
        self._moved = moved
        self._slots: list[Address | None] = []
        self._lines: dict[Address, Line] = {}
        self._opening: dict[Address, asyncio.Task[Line]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refreshing: asyncio.Task[None] | None = None
        self._links: set[Link] = set()
        self._stopped = False

    async def start(self) -> Line:
        """Connect to one of the servers, and learn who the others are; raises `Unreachable`."""
        line, failure = None, None
        for address in self.options.addresses:
            try:
                line = await self.line(address, any_role=True)
                break
            except Unreachable as error:
                failure = error
        if line is None:
            assert failure is not None
            raise failure
        if self.options.cluster:
            await self._learn(line)
        _ = self._spawn(self._look())
        return line

    async def stop(self) -> None:
        """End all connections."""
        self._stopped = True
        tasks = [*self._tasks, *self._opening.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for link in [*self._links]:
            await link.close()

    def address(self, slot: int) -> Address:
        """Whose slot it is, as far as is known; raises `Unreachable`."""
        address = self.serves(slot)
        if address is None:
            self._refresh()
            raise Unreachable(f"{self.options.text}: no server of the cluster has slot {slot}")
        return address

    def serves(self, slot: int) -> Address | None:
        """Likewise; None where nobody is known to."""
        if not self.options.cluster:
            return self.options.addresses[0]
        return self._slots[slot] if self._slots else None

    def watch(self, link: Link) -> None:
        """Have it looked at from time to time, and closed at the end."""
        self._links.add(link)

    def unwatch(self, link: Link) -> None:
        self._links.discard(link)

    # Asking

    async def run(self, slot: int, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """What a script returns; raises `Unreachable`."""
        rest = (len(keys), *keys, *arguments)
        return await self._ask(slot, script.name, ("EVALSHA", script.sha, *rest), script)

    async def ask(self, slot: int, *command: Any) -> Any:
        """A command's reply; raises `Unreachable`."""
        return await self._ask(slot, str(command[0]), command, None)

    async def _ask(
        self, slot: int, name: str, command: tuple[Any, ...], script: Script | None
    ) -> Any:
        """Ask again only where the server says that it has done nothing."""
        loop = asyncio.get_running_loop()
        limit = loop.time() + SILENCE
        address, asking = self.address(slot), False
        while True:
            line = await self.line(address)
            reply = await line.ask(*command, asking=asking)
            if not isinstance(reply, ResponseError):
                return reply
            if loop.time() > limit:
                raise self._refused(line, name, reply) from reply
            asking = False
            match reply:
                case NoScriptError() if script is not None and command[0] == "EVALSHA":
                    command = ("EVAL", script.source, *command[2:])
                case MovedError():
                    address = self.follow(slot, reply, line)
                case AskError():
                    address, asking = _place(reply, line), True
                case TryAgainError() | ClusterDownError():
                    await asyncio.sleep(PAUSE)
                    self._refresh()
                    address = self.address(slot)
                case ReadOnlyError():
                    line.end("it is not the primary any more")
                    raise self._refused(line, name, reply) from reply
                case _:
                    raise self._refused(line, name, reply) from reply

    def follow(self, slot: int, error: MovedError, link: Link) -> Address:
        """Whose slot it is now, as the server says that had it before."""
        address = _place(error, link)
        if self._slots and self._slots[slot] != address:
            self._slots[slot] = address
            self._moved()
        self._refresh()
        return address

    def _refused(self, line: Line, name: str, error: ResponseError) -> Unreachable:
        return Unreachable(f"Redis at {line.address} refused {name}: {reason(error)}")

    # Connections

    async def line(self, address: Address, *, any_role: bool = False) -> Line:
        """The connection to a server, a new one if there is none; raises `Unreachable`."""
        line = self._lines.get(address)
        if line is not None:
            return line
        if self._stopped:
            raise Unreachable(f"{self.options.text}: this node has stopped")
        opening = self._opening.get(address)
        if opening is None:
            opening = self._opening[address] = asyncio.create_task(
                self._open(address), name="redis: connecting"
            )
            opening.add_done_callback(lambda _: self._opening.pop(address, None))
        # Whoever gives up does not take it from the others.
        line = await asyncio.shield(opening)
        if not (line.primary or any_role):
            line.end("it is a replica, not a primary")
            raise line.unreachable
        return line

    async def _open(self, address: Address) -> Line:
        line = Line(self.options, address, self._ended)
        try:
            await line.connect()
        except Unreachable:
            self._refresh()
            raise
        self._lines[address] = line
        self.watch(line)
        self._opened(line)
        return line

    def _ended(self, line: Line) -> None:
        self.unwatch(line)
        if self._lines.get(line.address) is line:
            del self._lines[line.address]
        logger.warning("Redis at %s: %s", line.address, line.failure)
        if not line.primary:
            for link in [*self._links]:
                if link.address == line.address:
                    link.end(f"{line.failure}")
        self._refresh()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            for link in [*self._links]:
                link.look()
            # Only who asks learns that another process answers, or that it does not lead any more.
            for address in {link.address for link in self._links} - self._lines.keys():
                if address not in self._opening:
                    _ = self._spawn(self._try(address))

    async def _try(self, address: Address) -> None:
        with contextlib.suppress(Unreachable):
            await self.line(address)

    # Slots

    def _refresh(self) -> None:
        """Find out again who has which slot, unless somebody does so already."""
        if self.options.cluster and self._refreshing is None and not self._stopped:
            self._refreshing = self._spawn(self._find_out())

    async def _find_out(self) -> None:
        try:
            known = {*self._lines, *(each for each in self._slots if each is not None)}
            for address in [*known, *self.options.addresses]:
                try:
                    await self._learn(await self.line(address, any_role=True))
                except Unreachable:
                    continue
                return
            await asyncio.sleep(PAUSE)
        finally:
            self._refreshing = None

    async def _learn(self, line: Line) -> None:
        """Raises `Unreachable` where the server does not know."""
        reply = await line.ask("CLUSTER", "SLOTS")
        if isinstance(reply, ResponseError):
            raise self._refused(line, "CLUSTER SLOTS", reply) from reply
        slots: list[Address | None] = [None] * SLOTS
        for first, last, (host, port, *_), *_ in reply:
            address = Address((host or b"").decode() or line.address.host, port)
            slots[first : last + 1] = [address] * (last + 1 - first)
        if slots != self._slots:
            self._slots = slots
            self._moved()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="redis")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _place(error: AskError, link: Link) -> Address:
    """Read `slot host:port`; a server that does not know its own name stands for the one asked."""
    host, _, port = str(error).rpartition(" ")[2].rpartition(":")
    return Address(host or link.address.host, int(port))
