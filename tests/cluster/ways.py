"""What is under way to a node of a test."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Way"]

T = TypeVar("T")


class Way(Generic[T]):
    """What is under way to one node, in its order.

    With a `lag` it arrives so many turns of the loop later; while it is held it does not arrive.
    """

    def __init__(self, deliver: Callable[[T], None], lag: int = 0) -> None:
        self.lag: int = lag
        self.held: bool = False
        self._deliver = deliver
        self._waiting: deque[tuple[int, T]] = deque()
        self._put = 0
        self._done = 0
        self._arrivals: list[tuple[int, asyncio.Future[None]]] = []
        self._pumping = False

    def __len__(self) -> int:
        """How much is under way."""
        return len(self._waiting)

    def put(self, thing: T) -> None:
        self._put += 1
        self._waiting.append((self.lag, thing))
        self._pump()

    def hold(self) -> None:
        self.held = True

    def let(self, number: int | None = None) -> None:
        """Let all arrive from here on, or so many of what is held, now."""
        if number is None:
            self.held = False
            self._pump()
            return
        for _ in range(number):
            self._next()

    def drop(self) -> None:
        """What is under way never arrives."""
        self._done += len(self._waiting)
        self._waiting.clear()
        self._tell()

    async def arrived(self) -> None:
        """Wait until what is under way has arrived."""
        if self._done < self._put:
            future = asyncio.get_running_loop().create_future()
            self._arrivals.append((self._put, future))
            await future

    def _pump(self) -> None:
        while self._waiting and not self.held and not self._pumping:
            if not self._waiting[0][0]:
                self._next()
                continue
            self._pumping = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._pumping = False
        self._waiting = deque((max(0, lag - 1), thing) for lag, thing in self._waiting)
        self._pump()

    def _next(self) -> None:
        _, thing = self._waiting.popleft()
        self._deliver(thing)
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        reached = [each for each in self._arrivals if each[0] <= self._done]
        self._arrivals = [each for each in self._arrivals if each[0] > self._done]
        for _, future in reached:
            if not future.done():
                future.set_result(None)
