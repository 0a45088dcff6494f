"""Several nodes of one application, each with a server of its own, in the test's loop."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from gatewright.backplane import Backplane
from tests._support.leaks import no_task_left
from tests.cluster.joined import Joined
from tests.sessions.chat import House, Witness, serving, until
from tests.sessions.client import Client

__all__ = ["bye", "cluster", "empty", "name_of", "net"]


@asynccontextmanager
async def cluster(
    join: Callable[[], Backplane], count: int = 2, **options: Any
) -> AsyncGenerator[list[House]]:
    """So many nodes; each has a witness of its own."""
    async with no_task_left(), AsyncExitStack() as stack:
        houses = [
            await stack.enter_async_context(serving(Witness(), backplane=join(), **options))
            for _ in range(count)
        ]
        for house in houses:
            await until(lambda house=house: len(house.backplane.nodes) == count - 1)
        yield houses


def net(house: House) -> Joined:
    """A node's side of the hub, to make trouble with."""
    backplane = house.backplane
    assert isinstance(backplane, Joined)
    return backplane


def name_of(house: House) -> str:
    name: str = house.backplane.node
    return name


async def bye(client: Client) -> None:
    """Leave for good."""
    await client.send({"op": "bye"})
    await client.closed()


async def empty(*houses: House) -> None:
    """Wait until no node keeps anything of any session any more, nor follows anything."""
    for house in houses:
        await house.empty()
        backplane = house.backplane
        if isinstance(backplane, Joined):
            await until(lambda backplane=backplane: not +backplane.follows)
