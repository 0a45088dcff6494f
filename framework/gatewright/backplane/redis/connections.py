"""A connection to one server, which ends with the first thing that goes wrong.

Nothing is tried again here, and nobody connects again behind our back: whoever used it is told
(rules R2 and R10 of the recovery model).
"""

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Self

from redis.exceptions import RedisError, ResponseError

from gatewright.backplane.redis.options import SILENCE, Address, Options
from gatewright.backplane.shared.log import Unreachable

__all__ = ["EVERY", "PATIENCE", "TICK", "Link", "read_info", "reason"]

logger: logging.Logger = logging.getLogger("gatewright")

TICK: Final = 0.5
"""Seconds between two looks at a connection. Silence is counted in looks, not in time: while our
own loop stands still, an answer may be there that nobody has read yet."""

PATIENCE: Final = int(SILENCE / TICK)
"""Looks after which a question without an answer ends the connection."""

EVERY: Final = 2
"""Looks between two questions whether the server still lives."""


class Link(ABC):
    """A connection and who reads what it brings.

    `ended` is called once, when it has failed, not when it was closed.
    """

    purpose: ClassVar[str]

    def __init__(self, options: Options, address: Address, ended: Callable[[Self], None]) -> None:
        self.address: Address = address
        self.info: Mapping[str, str] = {}
        """What the server said of itself last."""
        self.failure: str | None = None
        """Why it has ended."""
        self.looks: int = 0
        self._connection = options.connection(address)
        self._tell_ended: Callable[[], None] = lambda: ended(self)
        self._outgoing: list[bytes] = []
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def run(self) -> str:
        """Which process it is that answers."""
        return self.info.get("run_id", "")

    @property
    def primary(self) -> bool:
        return self.info.get("role") == "master"

    @property
    def unreachable(self) -> Unreachable:
        """What whoever needs it is told."""
        return Unreachable(f"Redis at {self.address}: {self.failure or 'not connected'}")

    async def connect(self) -> None:
        """Raises `Unreachable`; nothing else may be called before."""
        try:
            await self._connection.connect()
            await self._connection.send_command("INFO")
            self.info = read_info(await self._connection.read_response())
        except (RedisError, OSError) as error:
            await self._disconnect()
            raise Unreachable(f"Redis at {self.address}: {reason(error)}") from error
        except BaseException:
            await self._disconnect()
            raise
        # From here on patience is counted in looks.
        self._connection.socket_timeout = None
        self._tasks = [
            asyncio.create_task(self._guard(each()), name=f"redis: {self.purpose}")
            for each in (self._read, self._write)
        ]

    async def close(self) -> None:
        """End it without a word, save to those who wait for an answer."""
        self._give_up("this node has closed the connection")
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._disconnect()

    def end(self, why: str) -> None:
        """It is of no use any more."""
        if self._give_up(why):
            self._tell_ended()

    def look(self) -> None:
        """To be called every `TICK`."""
        if self.failure is None:
            self.looks += 1
            self._look()

    @abstractmethod
    def _look(self) -> None:
        """Judge the server's silence, and ask from time to time whether it lives."""

    @abstractmethod
    def _took(self, reply: Any) -> None:
        """A reply, an error that is one, or something that was pushed."""

    @abstractmethod
    def _fail(self, error: Unreachable) -> None:
        """Tell whoever waits."""

    def _send(self, *command: Any) -> None:
        """Send it with all that is asked in this turn of the loop."""
        self._outgoing += self._connection.pack_command(*command)
        self._wanted.set()

    async def _write(self) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            outgoing, self._outgoing = self._outgoing, []
            await self._connection.send_packed_command(outgoing, check_health=False)

    async def _read(self) -> None:
        read = self._connection.read_response
        while True:
            try:
                reply: Any = await read()
            except ResponseError as error:
                reply = error
            self._took(reply)

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except (RedisError, OSError) as error:
            self.end(reason(error))
        except Exception as error:
            logger.exception("Redis at %s: a connection has ended by a mistake", self.address)
            self.end(reason(error))
        finally:
            # Also when it is cancelled: the other one of the two must not go on.
            await self._disconnect()

    def _give_up(self, why: str) -> bool:
        if self.failure is not None:
            return False
        self.failure = why
        self._fail(self.unreachable)
        for task in self._tasks:
            task.cancel()
        return True

    async def _disconnect(self) -> None:
        with contextlib.suppress(RedisError, OSError):
            await self._connection.disconnect(nowait=True)


def read_info(text: object) -> dict[str, str]:
    """What INFO says."""
    assert isinstance(text, bytes)
    pairs = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines())
    return {name: value for name, colon, value in pairs if colon}


def reason(error: BaseException) -> str:
    """Why it went wrong, for people."""
    return f"{error}".strip() or type(error).__name__
