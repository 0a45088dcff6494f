"""The window of calls against a model that knows everything."""

import hypothesis.strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gatewright.protocol.sessions.frames import WINDOW
from gatewright.protocol.sessions.window import Taken, Window
from gatewright.types import Frame


class WindowMachine(RuleBasedStateMachine):
    """A client and a server over several sockets; the model keeps every end for ever."""

    @initialize(
        limit=st.sampled_from([50, 400, 10_000]),
        taken=st.none() | st.integers(0, 20),
        sent=st.integers(0, 20),
    )
    def start(self, limit: int, taken: int | None, sent: int) -> None:
        self.window = Window(limit, taken, sent)
        self.limit = limit
        self.top = sent if taken is None else taken
        self.known = taken is not None
        self.running: set[int] = set()
        self.order: list[int] = []
        """Ended and not confirmed, as the ends came."""
        self.frames: dict[int, Frame] = {}
        self.gone: set[int] = set()
        """Confirmed, or pushed out."""
        self.sent_here: set[int] = set()
        self.asked: set[int] = set()

    def forget(self, id: int) -> None:
        self.order.remove(id)
        del self.frames[id]
        self.sent_here.discard(id)
        self.gone.add(id)

    @rule(step=st.integers(1, 3) | st.integers(100, 140))
    def new(self, step: int) -> None:
        """A client never is that far ahead of a call that has not ended."""
        id = self.top + step
        if self.running and id >= min(self.running) + WINDOW:
            return
        assert self.window.take(id) is Taken.NEW
        self.top, self.known = id, True
        self.running.add(id)

    @rule(back=st.integers(0, 200))
    def again(self, back: int) -> None:
        id = self.top - back
        if id < 0:
            return
        taken = self.window.take(id)
        if id in self.running:
            assert taken is Taken.RUNNING
        elif taken is Taken.ENDED:
            # Never one that is not the end of that call.
            assert self.window.again(id) is self.frames[id]
            self.sent_here.add(id)
        else:
            assert taken is Taken.UNKNOWN
            # Forgotten, but only what may be.
            if id in self.frames:
                assert id <= self.top - WINDOW

    @rule(data=st.data(), size=st.integers(1, 30), sent=st.booleans())
    def end(self, data: st.DataObject, size: int, *, sent: bool) -> None:
        if not self.running:
            return
        id = data.draw(st.sampled_from(sorted(self.running)))
        self.running.remove(id)
        frame = Frame(bytes(size))
        self.window.end(id, frame, sent=sent)
        self.order.append(id)
        self.frames[id] = frame
        if sent:
            self.sent_here.add(id)
        self._push_out()

    def _push_out(self) -> None:
        while sum(self.frames[id].size for id in self._kept()) > self.limit:
            oldest = self._kept()[0]
            self.forget(oldest)

    def _kept(self) -> list[int]:
        return [id for id in self.order if id in self.window._ends or id > self.top - WINDOW]

    @rule(id=st.integers(0, 30))
    def execute_again(self, id: int) -> None:
        """An idempotent call of which nobody knows."""
        if id > self.top or self.window.take(id) is not Taken.UNKNOWN:
            return
        if id in self.frames:
            self.forget(id)
        self.window.take_again(id)
        self.running.add(id)

    @rule()
    def pinged(self) -> None:
        self.window.pinged()
        self.asked |= self.sent_here

    @rule()
    def ponged(self) -> None:
        self.window.ponged()
        for id in self.asked & set(self.order):
            self.forget(id)
        self.asked = set()

    @rule()
    def moved(self) -> None:
        self.window.moved()
        self.sent_here, self.asked = set(), set()

    @rule()
    def forget_ends(self) -> None:
        self.window.forget_ends()
        for id in self.order.copy():
            self.forget(id)
        self.sent_here, self.asked = set(), set()

    @invariant()
    def what_it_says_is_so(self) -> None:
        assert self.window.top == self.top
        assert self.window.last == (self.top if self.known else None)
        assert self.window.running == bool(self.running)

    @invariant()
    def it_keeps_what_it_must_and_no_more_than_it_may(self) -> None:
        kept = set(self.window._ends)
        assert kept <= set(self.order)
        assert {id for id in self.order if id > self.top - WINDOW} <= kept
        size = sum(self.frames[id].size for id in kept)
        assert self.window._size == size <= self.limit
        assert self.window._sent <= kept
        # Those that ended out of their order may stay a little longer, but not for ever.
        assert len(kept) <= 2 * WINDOW


TestWindow = WindowMachine.TestCase


def ended(window: Window, *ids: int) -> None:
    for id in ids:
        assert window.take(id) is Taken.NEW
        window.end(id, Frame(b"x"), sent=True)


def test_the_ends_of_the_last_ids_are_kept() -> None:
    window = Window(10_000)
    ended(window, *range(1, WINDOW + 1))
    assert window.take(1) is Taken.ENDED
    ended(window, WINDOW + 1)
    assert window.take(1) is Taken.UNKNOWN
    assert window.take(2) is Taken.ENDED


def test_a_pong_confirms_what_was_sent_before_its_ping() -> None:
    window = Window(10_000)
    ended(window, 1)
    window.pinged()
    ended(window, 2)
    window.ponged()
    assert window.take(1) is Taken.UNKNOWN
    assert window.take(2) is Taken.ENDED


def test_what_an_old_socket_was_given_is_not_confirmed_by_the_next() -> None:
    window = Window(10_000)
    ended(window, 1)
    window.moved()
    window.pinged()
    window.ponged()
    assert window.take(1) is Taken.ENDED
    window.again(1)
    window.pinged()
    window.ponged()
    assert window.take(1) is Taken.UNKNOWN


def test_one_that_is_larger_than_the_whole_window_is_not_kept() -> None:
    window = Window(10)
    ended(window, 1)
    assert window.take(2) is Taken.NEW
    window.end(2, Frame(b"x" * 11), sent=True)
    assert window.take(1) is Taken.UNKNOWN
    assert window.take(2) is Taken.UNKNOWN
    assert window._size == 0
