"""What a session knows of its calls, from one socket to the next."""

import asyncio

import pytest

from gatewright.ledger import Ledger
from gatewright.protocol.sessions.codecs import SessionJsonCodec, SessionMsgpackCodec
from gatewright.protocol.sessions.window import Taken, Window
from gatewright.types import Frame

pytestmark = pytest.mark.anyio


class Party:
    """As much of a connection as a ledger asks for."""

    namespace = "/chat"
    outbox = None
    position = None

    def __init__(self) -> None:
        self.codec: object = SessionJsonCodec()


def ledger(party: Party) -> Ledger:
    return Ledger(party, [], Window(1000))  # type: ignore[arg-type]


async def test_ends_in_another_format_are_forgotten() -> None:
    party = Party()
    made = ledger(party)
    made.window.take(1)
    made.window.end(1, Frame(b"x"), sent=True)
    made.moved(party)  # type: ignore[arg-type]
    assert made.window.take(1) is Taken.ENDED
    party.codec = SessionMsgpackCodec()
    made.moved(party)  # type: ignore[arg-type]
    assert made.window.take(1) is Taken.UNKNOWN
    assert made.codec == "gw.v1.msgpack"


async def test_what_trails_is_waited_for_by_those_who_come_after_it() -> None:
    made = ledger(Party())
    gate = asyncio.Event()
    seen: list[str] = []

    async def handler(name: str, former: set[asyncio.Future[None]]) -> None:
        if former:
            await asyncio.wait(former)
        await gate.wait()
        seen.append(name)

    async def then() -> None:
        seen.append("closed")

    # Each socket's lane waits for those before it, and trails itself.
    tasks = []
    for name in ("one", "two", "three"):
        task = asyncio.create_task(handler(name, made.trailing))
        made.trail({task}, then)
        tasks.append(task)
    gate.set()
    async with asyncio.timeout(5):
        await asyncio.wait(made.trailing)
    assert seen == ["one", "closed", "two", "closed", "three", "closed"]
    assert made.trailing == set()


async def test_the_end_cancels_what_still_trails() -> None:
    made = ledger(Party())
    seen: list[str] = []

    async def handler() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def then() -> None:
        seen.append("closed")

    task = asyncio.create_task(handler())
    await asyncio.sleep(0)
    made.trail({task}, then)
    await made.close(0.01)
    assert seen == ["cancelled", "closed"]
    assert made.trailing == set()
    await made.close(0.01)
