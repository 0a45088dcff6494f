"""A connection on which many ask one server at the same time."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from typing_extensions import override

from gatewright.backplane.redis.connections import EVERY, PATIENCE, Link, read_info
from gatewright.backplane.redis.options import Address, Options
from gatewright.backplane.shared.log import Unreachable

__all__ = ["Line"]


class Line(Link):
    """Answers come in the order of the questions; one that stays silent has ended."""

    purpose: ClassVar[str] = "asking"

    def __init__(self, options: Options, address: Address, ended: "Callable[[Line], None]") -> None:
        super().__init__(options, address, ended)
        self._waiting: deque[tuple[int, asyncio.Future[Any] | None]] = deque()

    def ask(self, *command: Any, asking: bool = False) -> asyncio.Future[Any]:
        """The reply, or the error that is one; raises `Unreachable`, also later.

        With `asking` a server of a cluster answers for a slot that it is about to get.
        """
        if self.failure is not None:
            raise self.unreachable
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if asking:
            self._waiting.append((self.looks, None))
            self._send("ASKING")
        self._waiting.append((self.looks, future))
        self._send(*command)
        return future

    @override
    def _look(self) -> None:
        if self._waiting and self.looks - self._waiting[0][0] > PATIENCE:
            self.end("it did not answer within 2 seconds")
        elif self.looks % EVERY == 0:
            self.ask("INFO", "server", "replication").add_done_callback(self._judge)

    def _judge(self, answer: "asyncio.Future[Any]") -> None:
        if answer.cancelled() or answer.exception() is not None:
            return
        if isinstance(answer.result(), bytes):
            self.info: Mapping[str, str] = read_info(answer.result())
            if not self.primary:
                self.end("it is not the primary any more")

    @override
    def _took(self, reply: Any) -> None:
        if not self._waiting:
            self.end("it said something that nobody has asked for")
            return
        _, future = self._waiting.popleft()
        if future is not None and not future.done():
            future.set_result(reply)

    @override
    def _fail(self, error: Unreachable) -> None:
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # not everybody looks at it
