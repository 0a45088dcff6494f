"""`gatewright emit`, over a real Redis and a real server."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from gatewright.backplane import connect
from gatewright.backplane.urls import BACKPLANE
from tests._support.backplanes import new_backplane
from tests._support.server import Url, serve
from tests.behaviours.wire import opened
from tests.cli.programs import Ended, run
from tests.emitting.chat import make

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis() -> str:
    return new_backplane("redis")


@pytest.fixture
async def server(redis: str) -> AsyncGenerator[Url]:
    async with serve(make(connect(redis))) as url:
        yield url


async def emit(redis: str, *arguments: str, given: str = "") -> Ended:
    return await asyncio.to_thread(run, "emit", *arguments, env={BACKPLANE: redis}, given=given)


def number(ended: Ended) -> int:
    assert (ended.code, ended.errors) == (0, ""), ended
    return int(ended.output)


async def test_who_is_connected_hears_it_and_its_number_is_printed(server: Url, redis: str) -> None:
    async with (
        opened(f"{server.ws}/chat?name=ana") as ana,
        opened(f"{server.ws}/chat?name=ben") as ben,
    ):
        id = await ana.call("id")
        await ben.call("id")
        first = number(await emit(redis, "/chat", "said", '{"text": "hi"}', "--to", "lobby"))
        second = number(
            await emit(redis, "/chat", "said", "-", "--to-user", "ben", given='["for Ben"]')
        )
        third = number(await emit(redis, "/chat", "any thing", "--except", id, given="null\n"))
        assert (second, third) == (first + 1, first + 2)
        last = await emit(redis, "/chat", "said", '"now"', "--volatile", "--key", "clock")
        assert last == Ended(0, "", "")
        said: dict[str, Any] = {"event": "said", "data": {"text": "hi"}}
        now = {"event": "said", "data": "now"}
        assert [await ana.receive() for _ in range(2)] == [said, now]
        assert [await ben.receive() for _ in range(4)] == [
            said,
            {"event": "said", "data": ["for Ben"]},
            {"event": "any thing", "data": None},
            now,
        ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["/chat"], 2, "Missing argument 'EVENT'"),
        (["/chat", "said", "{text: hi}"], 2, "expected JSON, a text in double quotes, got '{text"),
        (["/chat", "said"], 2, "expected JSON, a text in double quotes, got nothing"),
        (["/chat", "said", "1", "--key", "x"], 2, "--key is for volatile events"),
        (["/chat", "said", "1", "--backplane", "memory:"], 2, "nobody else would hear it"),
        (["/chat", "said", "1", "--backplane", "chat.db"], 2, "expected the URL of a backplane"),
        (["/chat", "said", "1", "--backplane", ""], 2, "Missing option '--backplane'"),
        (["chat", "said", "1"], 2, "expected a namespace, a path such as '/chat'"),
        (["/lab/{bench}", "said", "1"], 2, "expected path parameters bench"),
        (["/chat", "exception", "1"], 2, "which the protocols use themselves"),
        (["/chat", "said", "1", "--backplane", "redis://127.0.0.1:1"], 1, "127.0.0.1:1"),
    ],
)
async def test_what_cannot_be_emitted_is_said(
    arguments: list[str], code: int, message: str, server: Url, redis: str
) -> None:
    ended = await emit(redis, *arguments)
    assert (ended.code, ended.output) == (code, ""), ended
    assert message in ended.errors
    assert "Traceback" not in ended.errors
