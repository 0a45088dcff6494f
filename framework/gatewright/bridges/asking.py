"""What is asked of the other servers, and their answers, which nobody promises."""

import asyncio
from secrets import token_hex
from typing import Any

from msgspec.structs import replace

from gatewright.bridges.line import Line
from gatewright.bridges.wire import Channels, Request, RequestType, Response, Writer
from gatewright.errors import BridgeError

__all__ = ["Asked", "Asking"]


class Asked:
    """A request and its answers so far.

    Every server answers once; to a broadcast with acks it says how many clients it has asked, and
    their answers follow.
    """

    def __init__(self) -> None:
        self.servers: int | None = None
        """How many have to answer; None until that is known."""
        self.answers: list[Response] = []
        self.clients: int = 0
        self.acks: list[Any] = []
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def missing(self) -> int:
        """How many answers are missing, of servers and of those clients that were told of."""
        servers = max(0, (self.servers or 0) - len(self.answers))
        return servers + max(0, self.clients - len(self.acks))

    def add(self, response: Response) -> None:
        if response.type == RequestType.BROADCAST_ACK:
            self.acks.append(response.packet)
        else:
            self.answers.append(response)
            self.clients += response.client_count
        self.check()

    def check(self) -> None:
        if self.servers is not None and not self.missing and not self.complete.done():
            self.complete.set_result(None)


class Asking:
    """The requests that wait for answers."""

    def __init__(self, line: Line, writer: Writer) -> None:
        self._line = line
        self._writer = writer
        self._asked: dict[str, Asked] = {}

    def __len__(self) -> int:
        return len(self._asked)

    async def ask(self, channels: Channels, timeout: float, request: Request) -> Asked:
        """Ask all others, this server having subscribed to the channel, too.

        What is missing after `timeout` seconds is missing in what is returned. Raises
        `BridgeError` where nobody could be asked.
        """
        id = token_hex(8)
        asked = self._asked[id] = Asked()
        request = replace(request, uid=self._writer.uid, request_id=id)
        message = self._writer.request(request)
        try:
            async with asyncio.timeout(timeout):
                asked.servers = await self._line.teller.ask(channels.request, message) - 1
                asked.check()
                await asked.complete
        except TimeoutError:
            if asked.servers is None:
                raise BridgeError("Redis is out of reach") from None
        finally:
            del self._asked[id]
        return asked

    def answered(self, response: Response) -> None:
        """Take an answer; those to others' requests pass by here as well."""
        asked = self._asked.get(response.request_id)
        if asked is not None:
            asked.add(response)
