"""What the outbox does about what overflows it, and about sockets that take nothing."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.flusher import Flusher
from gatewright.outbox import Outbox
from gatewright.protocol.close import CloseCode
from tests._support.clock import ManualLoop
from tests._support.outboxes import LIMIT, STALL, frame
from tests._support.sockets import ScriptedLink


class Case:
    """An outbox, its socket and its flusher, in a loop whose time is ours."""

    def __init__(self, *, immediate: bool, stall: float = STALL) -> None:
        self.loop = ManualLoop()
        self.link = ScriptedLink(immediate=immediate)
        self.flusher = Flusher(stall)
        self.outbox = Outbox(self.link, self.flusher, LIMIT)

    def do(self, function: Callable[..., object], *args: object) -> object:
        async def call() -> object:
            return function(*args)

        result = self.loop.run(call())
        self.loop.settle()
        return result

    def push(self, size: int) -> None:
        self.do(self.outbox.push, frame(size))

    @property
    def sizes(self) -> list[int]:
        return [each.size for each in self.link.sent]


@pytest.fixture(params=[True, False], ids=["direct", "asgi"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    made = Case(immediate=request.param)
    with contextlib.closing(made.loop):
        yield made
        made.loop.run(made.outbox.aclose())


def test_a_key_that_waits_behind_a_blocked_socket_is_replaced_in_place(case: Case) -> None:
    case.link.block()
    case.push(1)
    case.do(case.outbox.push_volatile, frame(2), "a")
    case.push(3)
    assert case.do(case.outbox.push_volatile, frame(4), "a")
    case.link.unblock()
    case.loop.settle()
    assert case.sizes == [1, 4, 3]


def test_a_key_of_one_tick_is_replaced_when_that_tick_could_not_be_written(case: Case) -> None:
    case.link.block()

    def tick() -> None:
        case.outbox.push(frame(1))
        case.outbox.push_volatile(frame(2), "a")

    case.do(tick)
    case.do(case.outbox.push_volatile, frame(3), "a")
    case.link.unblock()
    case.loop.settle()
    assert case.sizes == [1, 3]
    assert case.outbox.size == 0


def test_a_newer_frame_of_a_key_never_grows_the_outbox_over_its_limit(case: Case) -> None:
    case.link.block()
    case.push(1)
    case.do(case.outbox.push_volatile, frame(2), "a")
    case.push(LIMIT - 3)
    assert not case.do(case.outbox.push_volatile, frame(3), "a")
    assert case.outbox.size == LIMIT
    assert case.outbox.dropped == 1


def test_nothing_starts_in_an_outbox_that_was_closed_before_its_turn(case: Case) -> None:
    async def all_in_one_tick() -> None:
        case.outbox.push(frame(1))
        case.outbox.close(CloseCode.RESTART)
        await case.outbox.aclose()

    case.loop.run(all_in_one_tick())
    case.loop.settle()
    assert case.link.said is None
    assert not asyncio.all_tasks(case.loop)


def test_a_lost_socket_gets_no_goodbye(case: Case) -> None:
    case.link.block()
    case.push(1)
    case.do(case.outbox.lose)
    case.link.unblock()
    case.loop.settle()
    assert case.link.said is None


def test_an_overflow_says_so_once_after_the_frame_that_is_under_way(case: Case) -> None:
    case.link.block()
    case.push(1)
    for _ in range(3):
        case.push(LIMIT)
    case.link.unblock()
    case.loop.settle()
    assert case.sizes == [1]
    assert case.link.said is not None
    assert case.link.said[0] == CloseCode.SLOW_CONSUMER


def test_one_message_over_the_limit_is_named_as_the_cause(case: Case) -> None:
    case.push(LIMIT + 1)
    assert case.sizes == []
    assert case.link.said == (
        CloseCode.SLOW_CONSUMER,
        f"a message of {LIMIT + 1} bytes; an outbox holds {LIMIT}",
    )


def test_room_is_for_the_item_that_wants_in(case: Case) -> None:
    case.link.block()
    case.push(40)
    case.push(60)
    visitor = case.loop.create_task(case.outbox.room(150))
    case.loop.settle()
    assert not visitor.done()
    case.link.unblock()
    case.loop.settle()
    assert visitor.done()


def test_room_in_an_empty_outbox_is_given_to_what_will_never_fit(case: Case) -> None:
    # The push that follows closes the connection, which says more than a stream that hangs.
    case.loop.run(case.outbox.room(2 * LIMIT))


@pytest.mark.parametrize("end", ["close", "lose", "abort", "aclose"])
def test_whoever_waits_for_room_is_let_in_by_every_end(case: Case, end: str) -> None:
    case.link.block()
    case.push(LIMIT)
    visitors = [case.loop.create_task(case.outbox.room()) for _ in range(3)]
    case.loop.settle()
    visitors[0].cancel()
    case.loop.settle()
    assert [each.done() for each in visitors] == [True, False, False]
    if end == "close":
        case.do(case.outbox.close, CloseCode.RESTART)
    elif end == "aclose":
        case.loop.run(case.outbox.aclose())
    else:
        case.do(getattr(case.outbox, end))
    case.loop.settle()
    assert all(each.done() for each in visitors)
    case.link.unblock()
    case.loop.settle()


# Sockets that take nothing


def test_a_socket_that_blocks_is_aborted_after_the_stall(case: Case) -> None:
    case.link.block()
    case.push(1)
    case.loop.advance(STALL * 0.9, STALL / 10)
    before = case.link.aborted
    case.loop.advance(STALL, STALL / 10)
    assert (before, case.link.aborted) == (0, 1)


def test_a_peer_that_stops_reading_is_aborted_though_nothing_more_is_sent(case: Case) -> None:
    case.link.reading = False
    case.push(1)
    assert case.sizes == [1]
    case.loop.advance(STALL * 0.9, STALL / 10)
    before = case.link.aborted
    case.loop.advance(STALL, STALL / 10)
    assert (before, case.link.aborted) == (0, 1)


def test_a_socket_that_stalls_is_found_soon(case: Case) -> None:
    case.link.reading = False
    case.push(100)
    case.loop.advance(STALL / 3, STALL / 100)
    case.link.read(1)
    case.loop.advance(STALL * 0.99, STALL / 100)
    before = case.link.aborted
    case.loop.advance(STALL * 0.07, STALL / 100)
    assert (before, case.link.aborted) == (0, 1)


def test_a_slow_peer_is_none_that_stalls(case: Case) -> None:
    case.link.reading = False
    case.push(100)
    for _ in range(20):
        case.loop.advance(STALL / 2, STALL / 10)
        case.link.read(1)
    assert not case.link.aborted


def test_a_slow_peer_is_none_that_stalls_while_its_backlog_grows(case: Case) -> None:
    case.link.reading = False
    for _ in range(20):
        case.push(3)
        case.loop.advance(STALL / 2, STALL / 10)
        case.link.read(1)
    assert not case.link.aborted
    assert case.link.backlog == 40


def test_what_a_closed_outbox_left_to_the_server_is_dropped_after_the_stall(case: Case) -> None:
    case.link.reading = False
    case.push(1)
    case.loop.run(case.outbox.aclose())
    case.loop.advance(2 * STALL, STALL / 10)
    assert case.link.aborted == 1


def test_a_node_that_stops_drops_what_its_peers_do_not_take(case: Case) -> None:
    case.link.reading = False
    case.push(1)
    case.loop.run(case.outbox.aclose())
    case.do(case.flusher.stop)
    assert case.link.aborted == 1
    case.loop.advance(2 * STALL)
    assert case.link.aborted == 1


def test_who_takes_everything_is_not_watched(case: Case) -> None:
    case.push(1)
    case.loop.advance(STALL, STALL / 4)
    assert not case.flusher._watched
    assert case.flusher._timer is None


@given(
    immediate=st.booleans(),
    life=st.lists(st.tuples(st.floats(0.1, STALL), st.integers(0, 3), st.booleans()), max_size=30),
)
def test_a_socket_is_aborted_only_without_progress_and_soon_then(
    *, immediate: bool, life: list[tuple[float, int, bool]]
) -> None:
    case = Case(immediate=immediate)
    with contextlib.closing(case.loop):
        case.link.reading = False
        case.push(50)
        moved = case.loop.time()
        for seconds, size, blocked in life:
            case.link.block() if blocked else case.link.unblock()
            if case.outbox.size < LIMIT:
                case.push(1)
            if size and case.link.backlog:
                case.link.read(size)
                moved = case.loop.time()
            if not case.link.backlog and not case.outbox.size:
                # Nothing to take is no stall.
                moved = case.loop.time()
            sent = len(case.link.sent)
            case.loop.advance(seconds, STALL / 16)
            if len(case.link.sent) > sent:
                moved = case.loop.time()
            still = case.loop.time() - moved
            if case.link.aborted:
                assert still >= STALL
                break
            assert still <= STALL * 1.5
        case.loop.run(case.outbox.aclose())
        case.loop.advance(2 * STALL, STALL / 16)
