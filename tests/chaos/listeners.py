"""Clients that write down what they hear."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count

from gatewright import EventError
from gatewright.client import Client, Gap, Status, connect
from tests.chaos.app import Said
from tests.chaos.commands import Short, until
from tests.chaos.verdicts import UNKNOWN, Verdict, judge

__all__ = ["Listeners", "Room"]

AT_ONCE = 50
"""Clients that connect at the same time."""


class Room:
    """What was acknowledged to have been said in a room, by its number, and who has heard what."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged: dict[str, int] = {}
        self.asked: dict[str, float] = {}
        """When each text was begun to be said, in seconds of the monotonic clock."""
        self.heard: list[list[str]] = []
        self.warned: list[list[float]] = []
        """When each who hears was told that something may be missing."""
        self.last = ""

    @property
    def up_to_date(self) -> bool:
        """Whether everyone has heard what was said last."""
        return all(texts[-1:] == [self.last] for texts in self.heard)


class Listeners:
    """So many clients, each in one of so many rooms."""

    def __init__(self, url: str, clients: int, rooms: int = 1) -> None:
        self.rooms = [Room(f"room {number}") for number in range(rooms)]
        self.opened: list[float] = []
        """When their connections were there, in seconds of the monotonic clock."""
        self.longest = 0.0
        """The longest time for which one was without a connection, in seconds."""
        self.unknown = 0
        """Publications of which nobody knows whether they were made."""
        self.clients = [connect(url, timeout=60) for _ in range(clients)]
        self._gaps = 0
        self._renewed = -clients
        for number, client in enumerate(self.clients):
            self._listen(client, self._room_of(number))

    def _room_of(self, number: int) -> Room:
        return self.rooms[number % len(self.rooms)]

    def _listen(self, client: Client, room: Room) -> None:
        heard: list[str] = []
        warned: list[float] = []
        room.heard.append(heard)
        room.warned.append(warned)
        lost = 0.0

        def moved(status: Status) -> None:
            nonlocal lost
            now = time.monotonic()
            if status == "resuming":
                lost = lost or now
            elif status == "open" and lost:
                self.longest = max(self.longest, now - lost)
                lost = 0.0

        def said(message: Said) -> None:
            # Each text is kept once, not once for each who hears it.
            heard.append(sys.intern(message.text))

        def missed(_: Gap) -> None:
            self._gaps += 1
            warned.append(time.monotonic())

        def opened(resumed: bool) -> None:  # noqa: FBT001 — what a client tells
            self.opened.append(time.monotonic())
            self._renewed += not resumed
            if not resumed:
                warned.append(time.monotonic())

        client.on(Said)(said)
        client.on_gap(missed)
        client.on_open(opened)
        client.on_status(moved)

    @asynccontextmanager
    async def here(self) -> AsyncGenerator[list[Client]]:
        """Connect them all, and have them join."""
        at_once = asyncio.Semaphore(AT_ONCE)
        async with AsyncExitStack() as stack:

            async def enter(number: int, client: Client) -> None:
                async with at_once:
                    await stack.enter_async_context(client)
                    await client.call("join", [self._room_of(number).name], list[str])

            async with asyncio.TaskGroup() as group:
                for number, client in enumerate(self.clients):
                    group.create_task(enter(number, client))
            yield self.clients

    async def publish(self, client: Client, text: str, room: int = 0) -> bool:
        """Have a client say something; False if nobody knows whether it was said."""
        to = self.rooms[room]
        to.asked[text] = time.monotonic()
        try:
            to.acknowledged[text] = await client.call("publish", [to.name, "", text], int)
        except EventError as error:
            if error.code not in UNKNOWN:
                raise
            self.unknown += 1
            return False
        return True

    async def verdict(self, client: Client) -> Verdict:
        """Have a client say an end in each room, wait until everyone has heard it, and judge."""
        for number, room in enumerate(self.rooms):
            # Whatever else comes would come before this.
            attempts = (f"end {attempt}" for attempt in count())
            room.last = next(attempts)
            while not await self.publish(client, room.last, number):
                room.last = next(attempts)
        with contextlib.suppress(Short):  # the verdict says what is missing
            await until(
                lambda: all(room.up_to_date for room in self.rooms), "everyone has heard the end"
            )
        verdict = sum((judge(room.acknowledged, room.heard) for room in self.rooms), Verdict())
        return verdict + Verdict(gaps=self._gaps, renewed=self._renewed)
