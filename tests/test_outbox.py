"""The outbox against a model of it, and what it does about sockets that take nothing."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gatewright.outbox import VOLATILE_SHARE, Flusher, Outbox
from gatewright.protocol.close import CloseCode
from gatewright.types import Frame
from tests._support.clock import ManualLoop
from tests._support.sockets import ScriptedLink

LIMIT = 200
STALL = 8.0

sizes = st.integers(1, 60)
keys = st.sampled_from(["a", "b"])


def frame(size: int) -> Frame:
    return Frame(b"x" * size)


# Ends are for those who have lived: most of what can go wrong goes wrong before.
end_of_life = precondition(lambda self: self.life <= 0)


class OutboxMachine(RuleBasedStateMachine):
    """Every order of pushes, goodbyes and troubles of the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[str | None, Frame]] = []
        self.under_way: Frame | None = None
        self.forgotten = False
        self.expected: list[Frame] = []
        self.closing: CloseCode | None = None
        self.goodbye: CloseCode | None = None
        self.saying = False
        self.gone = False
        self.broken = False
        self.blocked = False
        self.dropped = 0
        self.visitors: list[asyncio.Task[None]] = []

    @initialize(immediate=st.booleans(), life=st.integers(0, 40))
    def start(self, *, immediate: bool, life: int) -> None:
        self.life = life
        self.loop = ManualLoop()
        self.link = ScriptedLink(immediate=immediate)
        self.outbox = Outbox(self.link, Flusher(STALL), LIMIT)

    @property
    def size(self) -> int:
        size = sum(each.size for _, each in self.waiting)
        if self.under_way is not None and not self.forgotten:
            size += self.under_way.size
        return size

    def forget(self) -> None:
        self.waiting.clear()
        self.forgotten = True

    def in_loop(self, function: Callable[..., None], *args: object) -> None:
        async def call() -> None:
            function(*args)

        self.loop.run_until_complete(call())

    # What the application does

    @rule(size=sizes)
    def push(self, size: int) -> None:
        self.in_loop(self._push, size)
        self.a_turn()

    @rule(size=sizes, key=st.none() | keys)
    def push_volatile(self, size: int, key: str | None) -> None:
        self.in_loop(self._push_volatile, size, key)
        self.a_turn()

    @rule(several=st.lists(st.tuples(st.booleans(), sizes, keys), min_size=2, max_size=5))
    def burst(self, several: list[tuple[bool, int, str]]) -> None:
        """All within one turn of the loop: nothing can have been sent in between."""

        def pushes() -> None:
            for volatile, size, key in several:
                if volatile:
                    self._push_volatile(size, key)
                else:
                    self._push(size)
                assert self.outbox.size == self.size

        self.in_loop(pushes)
        self.a_turn()

    def _push(self, size: int) -> None:
        pushed = frame(size)
        self.outbox.push(pushed)
        if self.closing is not None:
            return
        if self.size + size > LIMIT:
            self.forget()
            self.closing = CloseCode.SLOW_CONSUMER
        else:
            self.waiting.append((None, pushed))

    def _push_volatile(self, size: int, key: str | None) -> None:
        pushed = frame(size)
        kept = self.outbox.push_volatile(pushed, key)
        if self.closing is not None:
            assert not kept
            return
        place = next((i for i, (k, _) in enumerate(self.waiting) if k and k == key), None)
        if place is None:
            fits = self.size + size <= LIMIT * VOLATILE_SHARE
        else:
            # The newest of a key may have the bytes of the older one, and whatever is free.
            fits = self.size - self.waiting[place][1].size + size <= LIMIT
        assert kept == fits
        if not fits:
            self.dropped += 1
        elif place is None:
            self.waiting.append((key, pushed))
        else:
            self.waiting[place] = (key, pushed)

    @end_of_life
    @rule(code=st.sampled_from([CloseCode.DISCONNECTED, CloseCode.RESTART]))
    def close(self, code: CloseCode) -> None:
        self.in_loop(self.outbox.close, code, "why")
        self.closing = self.closing or code
        self.a_turn()

    @end_of_life
    @rule()
    def abort(self) -> None:
        self.in_loop(self.outbox.abort)
        self.forget()
        self.closing = self.closing or CloseCode.SLOW_CONSUMER
        self.gone = True
        self.a_turn()
        assert self.link.aborted

    @end_of_life
    @rule()
    def lose(self) -> None:
        self.in_loop(self.outbox.lose)
        self.forget()
        self.closing = self.closing or CloseCode.GOING_AWAY
        self.gone = True
        self.a_turn()

    @rule()
    def visit(self) -> None:
        self.visitors.append(self.loop.create_task(self.outbox.room()))
        self.a_turn()

    @precondition(lambda self: self.visitors)
    @rule()
    def visitor_leaves(self) -> None:
        visitor = self.visitors.pop()
        visitor.cancel()
        self.a_turn()
        assert visitor.done()

    # What the socket does

    @rule()
    def block(self) -> None:
        self.link.block()
        self.blocked = True

    @rule()
    def unblock(self) -> None:
        self.link.unblock()
        self.blocked = False
        self.a_turn()

    @end_of_life
    @rule()
    def shatter(self) -> None:
        self.link.shatter()
        self.broken = True
        self.a_turn()

    def a_turn(self) -> None:
        """A turn of the loop, and what the model makes of it."""
        self.life -= 1
        self.loop.settle()
        if self.gone:
            if self.under_way is not None and (self.link.aborted or not self.blocked):
                if not self.link.aborted and not self.broken:
                    self.expected.append(self.under_way)
                self.under_way = None
            return
        something = self.under_way or self.waiting or (self.closing and not self.goodbye)
        if self.broken:
            if something:
                self.forget()
                self.under_way = None
                self.gone = True
                self.closing = self.closing or CloseCode.SLOW_CONSUMER
                assert self.link.aborted
            return
        if self.blocked:
            if self.under_way is None and self.waiting and not self.saying:
                self.under_way = self.waiting.pop(0)[1]
                self.forgotten = False
            return
        if self.under_way is not None:
            self.expected.append(self.under_way)
            self.under_way = None
        self.expected += [each for _, each in self.waiting]
        self.waiting.clear()
        if self.closing is not None:
            self.goodbye = self.goodbye or self.closing

    # What always holds

    @invariant()
    def as_the_model_says(self) -> None:
        if not hasattr(self, "outbox"):
            return
        assert self.link.sent == self.expected
        assert self.outbox.size == self.size <= LIMIT
        assert self.outbox.dropped == self.dropped
        assert self.outbox.closing == (self.closing is not None)
        said = self.link.said
        assert (said and said[0]) == self.goodbye
        full = self.closing is None and self.size > LIMIT // 2
        for visitor in self.visitors:
            assert visitor.done() != full, (visitor, self.size, self.closing)
        self.visitors = [each for each in self.visitors if not each.done()]

    def teardown(self) -> None:
        if not hasattr(self, "outbox"):
            return
        with contextlib.closing(self.loop):
            self.loop.run(self.outbox.aclose())
            self.loop.settle()
            assert self.outbox.size == 0
            assert not self.outbox._keyed
            assert all(visitor.done() for visitor in self.visitors)
            # Nobody watches a closed outbox, at the latest when its last chance has passed.
            self.loop.advance(3 * STALL, STALL / 4)
            assert not self.outbox._flusher._watched
            assert self.outbox._flusher._timer is None


TestOutboxMachine = OutboxMachine.TestCase


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
