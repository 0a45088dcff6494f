"""The outbox against a model of it: every order of pushes, goodbyes and troubles."""

import asyncio
import contextlib
from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from gatewright.flusher import Flusher
from gatewright.outbox import VOLATILE_SHARE, Outbox
from gatewright.protocol.close import CloseCode
from gatewright.types import Frame
from tests._support.clock import ManualLoop
from tests._support.outboxes import LIMIT, STALL, frame
from tests._support.sockets import ScriptedLink

sizes = st.integers(1, 60)
keys = st.sampled_from(["a", "b"])


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
