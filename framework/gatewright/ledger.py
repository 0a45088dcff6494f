"""What a session knows of its client's calls, over all the sockets that it has had."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from gatewright.connection import Connection
from gatewright.errors import ErrorCode, EventError
from gatewright.observing import Observer
from gatewright.plans import Call
from gatewright.protocol.sessions.window import Window
from gatewright.replies import Replies

__all__ = ["Ledger", "Origin"]


class Origin(Protocol):
    """The node that had a session before."""

    node: str

    def cancel(self, call_id: int) -> None:
        """End a call that it executes."""
        ...

    def over(self) -> None:
        """The session is over."""
        ...


class Ledger:
    """A session's calls. It is handed from one socket to the next.

    A handler goes on when its socket is lost: what it answers waits in the window for the client
    to ask again. The events of the next socket wait for it, so that those of one connection are
    handled one after the other.
    """

    __slots__ = (
        "_elsewhere_over",
        "_trailing",
        "calls",
        "codec",
        "elsewhere",
        "origin",
        "replies",
        "window",
    )

    def __init__(self, connection: Connection, observers: list[Observer], window: Window) -> None:
        self.window: Window = window
        self.codec: str = connection.codec.name
        """The format of the ends that wait in the window."""
        self.replies: Replies = Replies(connection, observers, window)
        self.calls: dict[int, Call] = {}
        """What is under way and wants an answer, by id."""
        self._trailing: set[asyncio.Task[None]] = set()
        self.origin: Origin | None = None
        """The node that had the session before, and still executes some of its calls."""
        self.elsewhere: set[int] = set()
        """The ids of those."""
        self._elsewhere_over: asyncio.Future[None] | None = None

    def follow(self, origin: Origin, running: Iterable[int], *, busy: bool) -> None:
        """Another node has handed it over; `busy` says whether handlers still run there."""
        self.origin = origin
        self.elsewhere.update(running)
        if busy:
            self._elsewhere_over = asyncio.get_running_loop().create_future()

    def quiet(self) -> None:
        """Nothing runs at that node any more, or nobody will hear of it."""
        if self._elsewhere_over is not None and not self._elsewhere_over.done():
            self._elsewhere_over.set_result(None)
        self._elsewhere_over = None

    def cancel(self, call_id: int) -> None:
        """End a call that still runs, although its session is at another node by now."""
        if call_id in self.elsewhere and self.origin is not None:
            self.origin.cancel(call_id)
            return
        call = self.calls.get(call_id)
        if call is None or call.cancelled:
            return
        call.cancelled = True
        if call.task is not None:
            call.task.cancel()
        else:
            del self.calls[call_id]
            self.replies.fail(call_id, call.event, EventError(ErrorCode.CANCELLED))

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
    def trailing(self) -> set[asyncio.Future[None]]:
        """Who ends when the handlers of the sockets before have ended."""
        trailing: set[asyncio.Future[None]] = {*self._trailing}
        if self._elsewhere_over is not None:
            trailing.add(self._elsewhere_over)
        return trailing

    async def close(self, limit: float, *, over: bool = True) -> None:
        """What still runs after `limit` seconds is cancelled: the session, or the process, ends.

        If the session is `over`, handlers of it at other nodes end as well.
        """
        if over and self.origin is not None:
            self.origin.over()
        trailing = self.trailing if over else {*self._trailing}
        if not trailing:
            return
        _, late = await asyncio.wait(trailing, timeout=limit)
        self.quiet()
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
