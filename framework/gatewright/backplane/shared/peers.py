"""Which other nodes live: each says so every few seconds, and one that is silent is dead."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from gatewright.backplane.base import Mail
from gatewright.backplane.base import Peers as Told
from gatewright.backplane.shared.log import Log, Unreachable

__all__ = ["Peers"]

logger: logging.Logger = logging.getLogger("gatewright")

SAY_EVERY: Final = 2.0
DEAD_AFTER: Final = 7.0
"""Seconds of silence; together with the time between two looks it is less than 10."""
LOOK_EVERY: Final = 1.0

Kind: TypeAlias = Literal["new", "alive", "gone", "mail"]


class _Letter(Struct, array_like=True, frozen=True):
    sender: str
    kind: Kind
    message: bytes = b""
    others: dict[str, float] = {}
    """Who else lives, and for how many seconds it has been silent."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Letter).decode


class Peers:
    """The other nodes, and the mail between them."""

    def __init__(self, log: Log, node: str, mail: Mail, told: Told) -> None:
        self._log = log
        self._node = node
        self._mail = mail
        self._told = told
        self._heard: dict[str, float] = {}
        """When each was heard last, in the time of the event loop."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._now: Callable[[], float] = asyncio.get_running_loop().time

    @property
    def alive(self) -> Collection[str]:
        return self._heard.keys()

    async def start(self) -> None:
        """Make itself known; the first answer tells who else lives."""
        await self._say("new")
        self._run(self._keep_saying())
        self._run(self._look())

    async def stop(self) -> None:
        """Say goodbye, so that nobody waits for this node."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        try:
            await self._say("gone")
        except Unreachable:
            logger.warning("the other nodes could not be told that this one stops")

    async def send(self, message: bytes, node: str | None = None) -> None:
        await self._log.send(_encode(_Letter(self._node, "mail", message)), node)

    def wrap(self, message: bytes) -> bytes:
        """A message to whoever follows a namespace."""
        return _encode(_Letter(self._node, "mail", message))

    def heard(self, body: bytes) -> None:
        """Something has come from a node, perhaps this one."""
        try:
            letter = _decode(body)
        except msgspec.MsgspecError:
            logger.exception("a message between nodes says nothing")
            return
        if letter.sender == self._node:
            return
        if letter.kind == "gone":
            self._dead(letter.sender)
            return
        if letter.kind == "new":
            self._dead(letter.sender)
            self._run(self._answer(letter.sender))
        if letter.sender not in self._heard:
            self._heard[letter.sender] = self._now()
            self._tell(letter.sender, alive=True)
        self._heard[letter.sender] = self._now()
        for node, silent in letter.others.items():
            if node != self._node and node not in self._heard:
                self._heard[node] = self._now() - silent
                self._tell(node, alive=True)
        if letter.kind == "mail":
            try:
                self._mail(letter.sender, letter.message)
            except Exception:
                logger.exception("mail of node %s", letter.sender)

    def _dead(self, node: str) -> None:
        if self._heard.pop(node, None) is not None:
            self._tell(node, alive=False)

    def _tell(self, node: str, *, alive: bool) -> None:
        try:
            self._told(node, alive)
        except Exception:
            logger.exception("node %s", node)

    async def _say(self, kind: Kind) -> None:
        await self._log.send(_encode(_Letter(self._node, kind)))

    async def _answer(self, node: str) -> None:
        now = self._now()
        others = {each: now - at for each, at in self._heard.items() if each != node}
        try:
            await self._log.send(_encode(_Letter(self._node, "alive", others=others)), node)
        except Unreachable:
            # It hears of this node when it says so the next time.
            logger.debug("node %s could not be answered", node)

    async def _keep_saying(self) -> None:
        while True:
            await asyncio.sleep(SAY_EVERY)
            try:
                await self._say("alive")
            except Unreachable:
                logger.debug("the other nodes could not be told that this one lives")

    async def _look(self) -> None:
        before = self._now()
        while True:
            await asyncio.sleep(LOOK_EVERY)
            now = self._now()
            asleep = now - before - LOOK_EVERY
            before = now
            if asleep > LOOK_EVERY:
                # This process stood still: it has to read first what the others said meanwhile.
                for node in self._heard:
                    self._heard[node] += asleep
                continue
            for node in [each for each, at in self._heard.items() if now - at > DEAD_AFTER]:
                self._dead(node)

    def _run(self, coroutine: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
