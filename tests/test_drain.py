"""Signals of this very process, with handlers as servers install them."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from gatewright.drain import drained_at_signals
from tests.behaviours.support import until

pytestmark = pytest.mark.anyio

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Server:
    """What a server keeps of signals; its method is their handler, as uvicorn's is."""

    def __init__(self) -> None:
        self.got: list[int] = []

    def handle_exit(self, number: int, frame: FrameType | None) -> None:
        self.got.append(number)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    before = {number: signal.signal(number, server.handle_exit) for number in STOPPING}
    yield server
    for number, handler in before.items():
        signal.signal(number, handler)


class Draining:
    """A drain that ends when the test says so."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0
        self.gate = asyncio.Event()

    async def __call__(self) -> None:
        self.begun += 1
        await self.gate.wait()
        self.ended += 1


async def test_the_server_gets_its_signal_when_the_drain_is_over(server: Server) -> None:
    drain = Draining()
    async with drained_at_signals(drain):
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: drain.begun)
        assert server.got == []
        drain.gate.set()
        await until(lambda: server.got)
        assert drain.ended == 1
        # It has begun to stop: what comes now is its own affair, at once.
        signal.raise_signal(signal.SIGINT)
        assert server.got == [signal.SIGTERM, signal.SIGINT]
    assert drain.begun == 1
    assert [signal.getsignal(number) for number in STOPPING] == [server.handle_exit] * 2


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (signal.SIGTERM, signal.SIGTERM),
        (signal.SIGINT, signal.SIGINT),
        (signal.SIGTERM, signal.SIGINT),
    ],
)
async def test_who_has_lost_patience_is_heard(
    server: Server, first: signal.Signals, second: signal.Signals
) -> None:
    drain = Draining()
    async with drained_at_signals(drain):
        signal.raise_signal(first)
        await until(lambda: drain.begun)
        signal.raise_signal(second)
        await until(lambda: server.got)
        # Both, in their order: a server counts them.
        assert server.got == [first, second]
        drain.gate.set()
        await until(lambda: drain.ended)
    assert server.got == [first, second]


async def test_a_supervisor_that_repeats_ctrl_c_has_not_lost_patience(server: Server) -> None:
    drain = Draining()
    async with drained_at_signals(drain):
        signal.raise_signal(signal.SIGINT)
        await until(lambda: drain.begun)
        signal.raise_signal(signal.SIGTERM)
        for _ in range(10):
            await asyncio.sleep(0)
        assert server.got == []
        drain.gate.set()
        await until(lambda: server.got)
    assert server.got == [signal.SIGINT, signal.SIGTERM]


async def test_two_applications_drain_at_the_same_time(server: Server) -> None:
    inner, outer = Draining(), Draining()
    async with drained_at_signals(outer):
        async with drained_at_signals(inner):
            signal.raise_signal(signal.SIGTERM)
            await until(lambda: inner.begun and outer.begun)
            inner.gate.set()
            await until(lambda: inner.ended)
            assert server.got == []
            outer.gate.set()
            await until(lambda: server.got)
        assert signal.getsignal(signal.SIGTERM) != server.handle_exit
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit
    assert server.got == [signal.SIGTERM]


async def test_applications_may_end_in_any_order(server: Server) -> None:
    first, second = Draining(), Draining()
    first.gate.set()
    second.gate.set()
    one, two = drained_at_signals(first), drained_at_signals(second)
    await one.__aenter__()
    await two.__aenter__()
    await one.__aexit__(None, None, None)
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: server.got)
    await two.__aexit__(None, None, None)
    assert (first.begun, second.begun) == (0, 1)
    assert signal.getsignal(signal.SIGTERM) == server.handle_exit


async def test_a_drain_that_fails_stops_the_server_all_the_same(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise LookupError

    async with drained_at_signals(broken):
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: server.got)
    assert "the connections could not be sent away" in caplog.text


async def test_a_server_that_ends_meanwhile_learns_of_the_signal(server: Server) -> None:
    drain = Draining()
    async with drained_at_signals(drain):
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: drain.begun)
    assert server.got == [signal.SIGTERM]
    assert drain.ended == 0


async def test_a_signal_in_the_last_moment_is_not_lost(server: Server) -> None:
    drain = Draining()
    async with drained_at_signals(drain):
        signal.raise_signal(signal.SIGTERM)
    await until(lambda: server.got)
    assert drain.begun == 0


async def test_whoever_has_taken_our_place_keeps_it(server: Server) -> None:
    later = Server()
    drain = Draining()
    drain.gate.set()
    async with drained_at_signals(drain):
        ours: Any = signal.signal(signal.SIGTERM, later.handle_exit)
    assert signal.getsignal(signal.SIGTERM) == later.handle_exit
    # It may have remembered us, and calls us when our application has long ended.
    ours(signal.SIGTERM, None)
    assert server.got == [signal.SIGTERM]
    assert drain.begun == 0


def _default(_: asyncio.AbstractEventLoop) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _ignored(_: asyncio.AbstractEventLoop) -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _of_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    for number in STOPPING:
        loop.add_signal_handler(number, print)


@pytest.mark.parametrize("install", [_default, _ignored, _of_the_loop])
async def test_what_is_not_a_servers_is_left_alone(
    install: Callable[[asyncio.AbstractEventLoop], None], server: Server
) -> None:
    loop = asyncio.get_running_loop()
    install(loop)
    before = [signal.getsignal(number) for number in STOPPING]
    try:
        async with drained_at_signals(Draining()):
            assert [signal.getsignal(number) for number in STOPPING] == before
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)


def test_the_ctrl_c_of_asyncio_run_is_left_alone() -> None:
    async def program() -> Any:
        before = signal.getsignal(signal.SIGINT)
        async with drained_at_signals(Draining()):
            assert signal.getsignal(signal.SIGINT) is before
        return before

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert asyncio.run(program()) is not signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


async def test_ctrl_c_stays_pythons_where_only_the_other_signal_is_a_servers(
    server: Server,
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    drain = Draining()
    drain.gate.set()
    async with drained_at_signals(drain):
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.raise_signal(signal.SIGTERM)
        await until(lambda: server.got)
    assert drain.ended == 1


async def test_another_thread_cannot_hold_signals(server: Server) -> None:
    async def elsewhere() -> None:
        async with drained_at_signals(Draining()):
            assert signal.getsignal(signal.SIGTERM) == server.handle_exit

    await asyncio.to_thread(asyncio.run, elsewhere())
