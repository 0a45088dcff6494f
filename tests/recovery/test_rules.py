"""Rules that no client of one process can see broken: batches of several, histories of many."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from gatewright.backplane import Memory
from gatewright.backplane.base import Batch, Bounds
from gatewright.flusher import Flusher
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.sessions.codecs import SessionJsonCodec
from gatewright.protocol.socketio.codec import SocketIOCodec
from gatewright.rooms import Namespaces
from gatewright.types import Position
from tests._support.members import Listener
from tests.backplane.lanes import Client, encoded, started

pytestmark = pytest.mark.anyio


@pytest.fixture
async def flusher() -> AsyncGenerator[Flusher]:
    made = Flusher(10)
    yield made
    made.stop()


async def test_each_entry_of_a_batch_has_its_own_number(flusher: Flusher) -> None:
    ana = Listener("~ana", flusher, codec=SessionJsonCodec())
    namespaces = Namespaces()
    namespaces.enter("/a", ana)
    said = [encoded("one"), encoded("for bob", rooms=("~bob",)), encoded("three")]
    namespaces.lane(Batch("/a", "epoch", 7, said))
    async with asyncio.timeout(5):
        while len(ana.frames) < 2:
            await asyncio.sleep(0)
    await ana.outbox.aclose()
    assert [(frame["seq"], frame["data"]) for frame in ana.frames] == [(7, "one"), (9, "three")]
    position = namespaces.position("/a")
    assert position is not None
    assert position.seq == 9


async def test_what_one_session_confirms_is_not_forgotten_for_another() -> None:
    async with started(memory := Memory(), Bounds(per_room=0)):
        slow = await Client.open(memory, "lobby", id="~slow")
        await slow.say("lost", rooms=("lobby",))
        quick = await Client.open(memory, "lobby", id="~quick")
        # So many rooms have lost entries that it is worth while to look which may be forgotten.
        for number in range(3000):
            await quick.confirm(await quick.say(number, rooms=(f"room {number}",)))
        assert (await slow.resume()).gaps == ("lobby",)


async def test_a_volatile_event_of_socket_io_ends_with_the_last_position_too() -> None:
    codec = SocketIOCodec(offsets=True)
    typing = Outgoing("typing", "bob", namespace="/lab")
    typing.volatile = True
    typing.position = Position("epoch", 7)
    # Else a client would take the name for its offset: of any event it remembers what comes last.
    assert typing.frame(codec).data == b'42/lab,["typing","bob","epoch-7"]'
