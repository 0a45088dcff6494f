"""Calls to clients, where the client is about to go or answers something odd."""

import asyncio
from typing import Any

import pytest
from msgspec import Raw, Struct

from gatewright.calls import Answers, Calls
from gatewright.flusher import Flusher
from gatewright.protocol.codecs import JsonCodec
from gatewright.protocol.frames import Envelope
from tests._support.members import Listener

pytestmark = pytest.mark.anyio


def answer(call_id: int, data: bytes) -> Envelope:
    return Envelope(data=Raw(data), id=call_id)


async def asked(listener: Listener) -> int:
    async with asyncio.timeout(5):
        while not listener.frames:
            await asyncio.sleep(0)
    call_id: int = listener.frames[-1]["id"]
    return call_id


async def test_who_has_said_goodbye_is_not_waited_for() -> None:
    calls, flusher = Calls(), Flusher(10)
    ana, ben = Listener("ana", flusher), Listener("ben", flusher)
    ben.outbox.close(4500)
    calls.lost("ben")
    asking = asyncio.create_task(calls.call("/", [ana, ben], "ask", None, int, timeout=5))
    calls.answer(ana, answer(await asked(ana), b"1"))
    answers: Answers[int] = await asking
    assert answers == [1]
    assert {name: error.code for name, error in answers.errors.items()} == {"ben": "interrupted"}
    assert not ben.frames
    assert len(calls) == 0


async def test_nobody_is_waited_for_when_all_have_said_goodbye() -> None:
    calls = Calls()
    ana = Listener("ana", Flusher(10))
    ana.outbox.close(4500)
    answers = await calls.call("/", [ana], "ask", None, int, timeout=5)
    assert (list(answers), list(answers.errors)) == ([], ["ana"])
    await ana.outbox.aclose()


class Odd(Struct):
    value: int


class Custom:
    pass


def broken_hook(kind: type, value: Any) -> Any:
    raise KeyError("a bug of the application's")


async def test_a_hook_that_breaks_on_an_answer_is_the_callers_error() -> None:
    calls = Calls()
    ana = Listener("ana", Flusher(10), codec=JsonCodec(broken_hook))
    asking = asyncio.create_task(calls.call("/", [ana], "ask", None, Custom, timeout=5))
    assert calls.answer(ana, answer(await asked(ana), b"1"))
    answers = await asking
    assert answers.errors["ana"].code == "internal"
    assert "KeyError" not in str(answers.errors["ana"])


@pytest.mark.parametrize(
    ("data", "code"),
    [(b'"\xed\xa0\x80"', "invalid"), (b"[" * 5000, "invalid"), (b'{"value": "x"}', "invalid")],
)
async def test_an_answer_that_cannot_be_read_is_invalid(data: bytes, code: str) -> None:
    calls = Calls()
    ana = Listener("ana", Flusher(10))
    kind = Odd | list[Any] | str
    asking = asyncio.create_task(calls.call("/", [ana], "ask", None, kind, timeout=5))
    calls.answer(ana, answer(await asked(ana), data))
    assert (await asking).errors["ana"].code == code


async def test_an_answer_counts_once() -> None:
    calls, flusher = Calls(), Flusher(10)
    ana, ben = Listener("ana", flusher), Listener("ben", flusher)
    asking = asyncio.create_task(calls.call("/", [ana, ben], "ask", None, int, timeout=5))
    call_id = await asked(ana)
    assert calls.answer(ana, answer(call_id, b"1"))
    assert not calls.answer(ana, answer(call_id, b"2"))
    assert not calls.answer(Listener("eve", flusher), answer(call_id, b"3"))
    calls.lost("ben")
    answers = await asking
    assert (list(answers), list(answers.errors)) == ([1], ["ben"])
    assert not calls.answer(ben, answer(call_id, b"4"))
