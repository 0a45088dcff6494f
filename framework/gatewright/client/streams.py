"""The items of a call that answers with a stream."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Self

from msgspec import Raw
from typing_extensions import TypeVar

from gatewright.errors import EventError

__all__ = ["Feed", "Stream"]

T = TypeVar("T")


class Feed:
    """What has come of a stream and was not taken yet."""

    def __init__(self) -> None:
        self.items: deque[Raw] = deque()
        self.ended: bool = False
        self.error: EventError | None = None
        self._changed = asyncio.Event()

    def put(self, item: Raw) -> None:
        self.items.append(item)
        self._changed.set()

    def end(self, error: EventError | None) -> None:
        self.ended, self.error = True, error
        self._changed.set()

    async def next(self) -> Raw | None:
        """The next item; None at the end. Raises the `EventError` that ended it."""
        while not self.items:
            if self.ended:
                if self.error is not None:
                    raise self.error
                return None
            self._changed.clear()
            await self._changed.wait()
        return self.items.popleft()


class Stream(Generic[T]):
    """An asynchronous iterator of a stream's items; it is called when the first is asked for.

    To leave the loop early cancels it. Raises the `EventError` that it ends with: `interrupted`
    when the connection is lost.
    """

    def __init__(
        self,
        begin: Callable[[Feed], Callable[[], None]],
        decode: Callable[[Raw], T],
    ) -> None:
        self._begin = begin
        self._decode = decode
        self._feed: Feed | None = None
        self._cancel: Callable[[], None] | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._closed:
            raise StopAsyncIteration
        if self._feed is None:
            self._feed = Feed()
            self._cancel = self._begin(self._feed)
        item = await self._feed.next()
        if item is None:
            raise StopAsyncIteration
        return self._decode(item)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    async def aclose(self) -> None:
        """End it here; the server is told to."""
        self.close()

    def close(self) -> None:
        self._closed = True
        cancel, self._cancel = self._cancel, None
        if cancel is not None and self._feed is not None and not self._feed.ended:
            cancel()

    def __del__(self) -> Any:
        # A loop that was left by `break` lets go of it without a word. The event loop may be gone.
        with contextlib.suppress(RuntimeError, AttributeError):
            self.close()
