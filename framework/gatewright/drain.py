"""The signals that stop a server, held back until its connections have been sent away.

A server that gets one closes all sockets, and only then tells its application. Clients that can
be told when to come back have to be told before.
"""

import asyncio
import functools
import logging
import multiprocessing
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any, TypeGuard

__all__ = ["drained_at_signals"]

logger: logging.Logger = logging.getLogger("gatewright")

Drain = Callable[[], Awaitable[None]]
Handler = Callable[[int, FrameType | None], object]

SIGNALS: tuple[signal.Signals, ...] = tuple(
    # The last is Windows's Ctrl+Break, by which uvicorn stops its workers there.
    signal.Signals[name]
    for name in ("SIGINT", "SIGTERM", "SIGBREAK")
    if name in signal.Signals.__members__
)


@asynccontextmanager
async def drained_at_signals(drain: Drain) -> AsyncGenerator[None]:
    """Within the block, run `drain` before a signal that stops the server reaches it.

    Where there are no handlers of a server, or they cannot be replaced (only the main thread may),
    nothing is done.
    """
    held = _held_signals()
    if held is None:
        yield
        return
    held.drains.append(drain)
    try:
        yield
    finally:
        await held.leave(drain)


def _held_signals() -> "HeldSignals | None":
    """Those of this process, held back from here on if they were not before."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handlers: dict[int, Handler] = {}
    for number in SIGNALS:
        handler = signal.getsignal(number)
        if isinstance(handler, HeldSignals):
            # Of another application in this process: both drain at once, and the server waits.
            return handler
        if _is_a_servers(handler):
            handlers[number] = handler
    if not handlers:
        return None
    held = HeldSignals(asyncio.get_running_loop(), handlers)
    for each in handlers:
        signal.signal(each, held)
    return held


def _is_a_servers(handler: object) -> TypeGuard[Handler]:
    """Whether it is neither Python's own, nor what asyncio puts there for itself.

    `asyncio.run` catches Ctrl+C to cancel its task. `loop.add_signal_handler` leaves a dummy: the
    loop learns of the signal in another way, from which it cannot be kept.
    """
    if not callable(handler) or handler is signal.default_int_handler:
        return False
    function: Any = handler
    while isinstance(function, functools.partial):
        function = function.func
    module: str = getattr(function, "__module__", None) or ""
    return module.partition(".")[0] not in {"asyncio", "uvloop"}


class HeldSignals:
    """The handler of all these signals, in the place of a server's."""

    def __init__(self, loop: asyncio.AbstractEventLoop, handlers: dict[int, Handler]) -> None:
        self.drains: list[Drain] = []
        self._loop = loop
        self._handlers = handlers
        self._came: list[int] = []
        self._tasks: dict[Drain, asyncio.Task[None]] = {}
        self._passing = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self._passing or not self.drains:
            self._handlers[number](number, frame)
        else:
            # We are between any two instructions of the main thread, which may hold anything.
            self._loop.call_soon_threadsafe(self._take, number)

    def _take(self, number: int) -> None:
        self._came.append(number)
        impatient = len(self._came) > 1 and not self._echo(number)
        if self._passing or impatient or not self.drains:
            self._pass()
        elif not self._tasks:
            for drain in self.drains:
                self._tasks[drain] = task = self._loop.create_task(_run(drain))
                task.add_done_callback(self._ended)

    def _echo(self, number: int) -> bool:
        """Whether a further signal is none of somebody who has lost patience.

        Ctrl+C reaches a supervisor and its workers alike, and so does the SIGTERM with which
        systemd stops a service; then the one stops the others.
        """
        supervised = multiprocessing.parent_process() is not None and len(self._came) == 2
        return number == signal.SIGTERM and (self._came[0] == signal.SIGINT or supervised)

    def _ended(self, _: "asyncio.Task[None]") -> None:
        if all(task.done() for task in self._tasks.values()):
            self._pass()

    def _pass(self) -> None:
        """Let the server have what has come, and at once whatever else will."""
        self._passing = True
        came, self._came = self._came, []
        for number in came:
            self._handlers[number](number, None)

    async def leave(self, drain: Drain) -> None:
        """An application has ended; with the last of them all is as it was before."""
        self.drains.remove(drain)
        if (task := self._tasks.get(drain)) is not None:
            task.cancel()
            await asyncio.wait([task])
        if not self.drains:
            for number, handler in self._handlers.items():
                # Whoever has taken our place since then must not lose it.
                if signal.getsignal(number) is self:
                    signal.signal(number, handler)


async def _run(drain: Drain) -> None:
    try:
        await drain()
    except Exception:
        # The server has to stop all the same.
        logger.exception("the connections could not be sent away")
