"""What a session knows of its client's calls, over all the sockets that it has had."""

import asyncio
from collections.abc import Awaitable, Callable

from gatewright.connection import Connection
from gatewright.observing import Observer
from gatewright.plans import Call
from gatewright.protocol.sessions.window import Window
from gatewright.replies import Replies

__all__ = ["Ledger"]


class Ledger:
    """A session's calls. It is handed from one socket to the next.

    A handler goes on when its socket is lost: what it answers waits in the window for the client
    to ask again. The events of the next socket wait for it, so that those of one connection are
    handled one after the other.
    """

    __slots__ = ("_trailing", "calls", "codec", "replies", "window")

    def __init__(self, connection: Connection, observers: list[Observer], window: Window) -> None:
        self.window: Window = window
        self.codec: str = connection.codec.name
        """The format of the ends that wait in the window."""
        self.replies: Replies = Replies(connection, observers, window)
        self.calls: dict[int, Call] = {}
        """What is under way and wants an answer, by id."""
        self._trailing: set[asyncio.Task[None]] = set()

    def moved(self, connection: Connection) -> None:
        """The session has another socket; the ends that it knows are told in its new format."""
        if connection.codec.name != self.codec:
            # Rare, and an end in another format says nothing to its client.
            self.window.forget_ends()
            self.codec = connection.codec.name
        self.window.moved()

    def trail(self, tasks: set[asyncio.Task[None]], then: Callable[[], Awaitable[None]]) -> None:
        """Tasks outlive their socket; `then` is called when they have ended."""
        task = asyncio.get_running_loop().create_task(_after(tasks, then))
        self._trailing.add(task)
        task.add_done_callback(self._trailing.discard)

    @property
    def trailing(self) -> set[asyncio.Task[None]]:
        """Who ends when the handlers of the sockets before have ended."""
        return self._trailing.copy()

    async def close(self, limit: float) -> None:
        """The session is over: what still runs after `limit` seconds is cancelled."""
        if not self._trailing:
            return
        _, late = await asyncio.wait(self._trailing, timeout=limit)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=limit)


async def _after(tasks: set[asyncio.Task[None]], then: Callable[[], Awaitable[None]]) -> None:
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    await then()
