"""The wheel and its hearts, in a time that the tests turn."""

import gc
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewright.liveness import MAX_TICK, Heart, Pongs, Wheel
from tests._support.clock import ManualLoop

STEP = 0.125
"""Seconds between two looks at the clock; a power of two, as all times here, to be exact."""

SLACK = MAX_TICK + STEP


class Peer:
    """One peer: what it was asked and when, and when it was given up."""

    def __init__(
        self,
        loop: ManualLoop,
        wheel: Wheel,
        interval: float,
        timeout: float,
        *,
        answers: Callable[[int], bool] = lambda _: True,
        first: float | None = None,
    ) -> None:
        self._loop = loop
        self._answers = answers
        self.born = loop.time()
        self.pings: list[float] = []
        self.died: float | None = None
        self.heart = Heart(
            wheel, interval, timeout, ping=self._pinged, dead=self._dead, first=first
        )

    def _pinged(self) -> None:
        assert self.died is None
        self.pings.append(self._loop.time())
        if self._answers(len(self.pings)):
            self.heart.heard()

    def _dead(self) -> None:
        assert self.died is None, "given up twice"
        self.died = self._loop.time()


def silent(_: int) -> bool:
    return False


@pytest.fixture
def loop() -> Iterator[ManualLoop]:
    loop = ManualLoop()
    yield loop
    loop.close()


def inside(loop: ManualLoop, make: Callable[[], Peer]) -> Peer:
    """Make it where its loop runs."""

    async def made() -> Peer:
        return make()

    return loop.run(made())


def test_a_peer_that_answers_is_asked_at_every_interval(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 25, 10))
    loop.advance(200, step=STEP)
    assert 12.5 <= peer.pings[0] - peer.born <= 25 + SLACK
    for before, after in zip(peer.pings, peer.pings[1:], strict=False):
        assert 25 <= after - before <= 25 + SLACK
    assert peer.died is None


def test_those_who_came_together_are_not_asked_together(loop: ManualLoop) -> None:
    wheel = Wheel()
    peers = [inside(loop, lambda: Peer(loop, wheel, 25, 10)) for _ in range(200)]
    loop.advance(26, step=0.25)
    firsts = [peer.pings[0] for peer in peers]
    assert len(set(firsts)) > 20
    assert max(firsts) - min(firsts) > 8


def test_a_silent_peer_is_given_up_once_and_asked_no_more(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 25, 10, answers=silent, first=25))
    loop.advance(200, step=STEP)
    assert len(peer.pings) == 1
    assert peer.died is not None
    assert 10 <= peer.died - peer.pings[0] <= 10 + SLACK
    assert len(wheel) == 0


def test_one_that_falls_silent_is_found_within_interval_and_timeout(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 5, 3, answers=lambda count: count < 4))
    loop.advance(60, step=STEP)
    assert peer.died is not None
    assert peer.died - peer.pings[2] <= 5 + 3 + 2 * SLACK


def test_whatever_comes_in_time_is_a_sign_of_life(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 5, 3, answers=silent, first=5))
    loop.advance(7.5, step=STEP)
    peer.heart.heard()
    loop.advance(4, step=STEP)
    assert len(peer.pings) == 2
    assert peer.died is None
    # What came before a ping does not answer it.
    loop.advance(2, step=STEP)
    assert peer.died is not None


def test_silence_does_not_count_while_we_do_not_read(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 5, 3, answers=silent, first=5))
    loop.advance(4, step=STEP)
    peer.heart.pause()
    loop.advance(60, step=STEP)
    assert len(peer.pings) >= 11
    peer.heart.resume()
    resumed = loop.time()
    # The ping after that decides.
    loop.advance(10, step=STEP)
    assert peer.died is not None
    asked = next(ping for ping in peer.pings if ping > resumed)
    assert 3 <= peer.died - asked <= 3 + SLACK


def test_a_timeout_longer_than_the_interval_holds_from_the_first_ping(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 1, 5, answers=lambda count: count < 3, first=1))
    loop.advance(20, step=STEP)
    assert peer.died is not None
    assert 5 <= peer.died - peer.pings[2] <= 5 + SLACK
    # It was asked on meanwhile.
    assert len(peer.pings) >= 6


def test_what_is_stopped_is_asked_nothing(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 1, 1))
    peer.heart.stop()
    peer.heart.stop()
    assert len(wheel) == 0
    loop.advance(5, step=STEP)
    assert not peer.pings


def test_one_that_stops_others_at_its_end(loop: ManualLoop) -> None:
    """They are in the same slot, and must not be asked any more."""
    wheel = Wheel()
    peers = [inside(loop, lambda: Peer(loop, wheel, 5, 1, answers=silent, first=5)) for _ in "ab"]
    hearts = [peer.heart for peer in peers]

    def stop_all() -> None:
        for each in hearts:
            each.stop()

    for heart in hearts:
        heart._dead = stop_all
    loop.advance(20, step=STEP)
    assert [peer.died for peer in peers] == [None, None]
    assert len(wheel) == 0


def test_one_that_stops_when_it_is_asked(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 1, 1))
    peer.heart._ping = peer.heart.stop
    loop.advance(5, step=STEP)
    assert len(wheel) == 0
    assert not loop._scheduled  # type: ignore[attr-defined]


def test_one_that_fails_keeps_nobody_from_being_asked(
    loop: ManualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    wheel = Wheel()
    bad = inside(loop, lambda: Peer(loop, wheel, 1, 1, first=1))
    good = inside(loop, lambda: Peer(loop, wheel, 1, 1, first=1))
    bad.heart._ping = lambda: 1 / 0  # type: ignore[assignment]
    loop.advance(1.5, step=STEP)
    assert len(good.pings) == 1
    assert "a heartbeat failed" in caplog.text
    # It is asked again, and given up like any other.
    loop.advance(5, step=STEP)
    assert bad.died is not None
    assert good.died is None


def test_a_shorter_interval_makes_the_wheel_finer_for_all(loop: ManualLoop) -> None:
    wheel = Wheel()
    long = inside(loop, lambda: Peer(loop, wheel, 25, 10, answers=silent, first=25))
    loop.advance(1, step=STEP)
    short = inside(loop, lambda: Peer(loop, wheel, 1 / 16, 1 / 16, answers=silent))
    loop.advance(0.25, step=1 / 256)
    assert short.died is not None
    assert wheel.tick == 1 / 64
    assert 1 / 16 <= short.died - short.pings[0] <= 5 / 64
    loop.advance(40, step=1 / 64)
    assert 25 <= long.pings[0] - long.born <= 25 + 1 / 64
    assert long.died is not None
    assert 10 <= long.died - long.pings[0] <= 10 + 1 / 64


def test_thousands_cost_one_timer_and_it_stops_with_the_last(loop: ManualLoop) -> None:
    wheel = Wheel()
    peers = [inside(loop, lambda: Peer(loop, wheel, 25, 10)) for _ in range(5000)]
    timers = loop._scheduled  # type: ignore[attr-defined]
    most = 0
    for _ in range(160):
        loop.advance(0.25)
        most = max(most, len([timer for timer in timers if not timer.cancelled()]))
    assert most == 1
    assert all(peer.pings for peer in peers)
    for peer in peers:
        peer.heart.stop()
    loop.advance(1, step=0.25)
    assert not timers
    assert not wheel._slots


def test_a_stopped_wheel_leaves_nothing(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 1, 1))
    wheel.stop()
    loop.advance(5, step=STEP)
    assert not peer.pings
    peer.heart.stop()
    assert all(timer.cancelled() for timer in loop._scheduled)  # type: ignore[attr-defined]


def test_a_stopped_heart_is_kept_by_nobody(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 1, 1))
    peer.heart.stop()
    assert not [each for each in gc.get_referrers(peer.heart) if isinstance(each, set)]


@pytest.mark.parametrize("asked", [0.125, 1, 9.875])
@pytest.mark.parametrize("asleep", [9.5, 60.0, 36_000.0])
def test_a_peer_is_not_given_up_because_we_slept(
    loop: ManualLoop, asked: float, asleep: float
) -> None:
    """The ping was sent, then the process was suspended; the answer waits to be read."""
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 25, 10, answers=silent, first=25))
    loop.advance(25 + asked, step=STEP)
    assert len(peer.pings) == 1
    loop.advance(asleep)
    # One turn, late, and nothing is read before it.
    assert peer.died is None
    peer.heart.heard()
    loop.advance(9, step=STEP)
    assert peer.died is None


def test_who_is_silent_is_found_after_a_sleep_too(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 25, 10, answers=silent, first=25))
    loop.advance(30, step=STEP)
    loop.advance(3600)
    woke = loop.time()
    loop.advance(20, step=STEP)
    assert peer.died is not None
    # It had half of its time before we slept.
    assert 5 - 2 * SLACK <= peer.died - woke <= 5 + 2 * SLACK


def test_a_loop_that_is_always_late_finds_the_silent_all_the_same(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 25, 10, answers=silent, first=25))
    other = inside(loop, lambda: Peer(loop, wheel, 25, 10, first=25))
    loop.advance(120, step=2)
    assert peer.died is not None
    assert other.died is None


def test_after_a_sleep_peers_are_asked_at_once_but_together_only_once(loop: ManualLoop) -> None:
    wheel = Wheel()
    peers = [inside(loop, lambda: Peer(loop, wheel, 25, 10)) for _ in range(100)]
    loop.advance(3600)
    assert len({peer.pings[-1] for peer in peers}) == 1
    loop.advance(26, step=0.25)
    assert len({peer.pings[-1] for peer in peers}) > 20
    assert all(peer.died is None for peer in peers)


TIMES = st.sampled_from([0.5, 1.0, 3.0, 5.0, 8.0, 25.0])


@given(
    peers=st.lists(
        st.tuples(
            TIMES, TIMES, st.integers(0, 80).map(lambda steps: steps * STEP), st.integers(0, 6)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_everybody_is_asked_in_time_and_dies_in_time(
    peers: list[tuple[float, float, float, int]],
) -> None:
    """Whoever came when, with whatever times, and answers so many pings and no more."""
    loop = ManualLoop()
    wheel = Wheel()
    made: list[tuple[float, float, int, Peer]] = []

    def answering(last: int) -> Callable[[int], bool]:
        return lambda count: count <= last

    try:
        for interval, timeout, after, last in sorted(peers, key=lambda peer: peer[2]):
            loop.advance(max(0.0, 1000 + after - loop.time()), step=STEP)
            peer = inside(
                loop,
                lambda i=interval, t=timeout, n=last: Peer(  # type: ignore[misc]
                    loop, wheel, i, t, answers=answering(n)
                ),
            )
            made.append((interval, timeout, last, peer))
        loop.advance(60, step=STEP)
        for interval, timeout, last, peer in made:
            if peer.pings:
                first = peer.pings[0] - peer.born
                assert interval / 2 <= first <= interval + SLACK
            for before, after in zip(peer.pings, peer.pings[1:], strict=False):
                assert interval <= after - before <= interval + SLACK
            if peer.died is None:
                due = peer.pings[last] + timeout if len(peer.pings) > last else loop.time()
                assert loop.time() <= due + SLACK
                assert loop.time() <= peer.pings[-1] + interval + SLACK
            else:
                asked = peer.pings[last]
                assert timeout <= peer.died - asked <= timeout + SLACK
        for *_, peer in made:
            peer.heart.stop()
        assert len(wheel) == 0
    finally:
        loop.close()


def test_a_peer_is_silent_only_when_nobody_keeps_us_from_reading(loop: ManualLoop) -> None:
    wheel = Wheel()
    peer = inside(loop, lambda: Peer(loop, wheel, 5, 3, answers=silent, first=5))
    heart = peer.heart
    heart.pause()
    heart.pause()
    heart.resume()
    loop.advance(60, step=STEP)
    assert len(wheel) == 1
    heart.resume()
    loop.advance(10, step=STEP)
    assert peer.died is not None


def test_a_pong_answers_its_own_ping() -> None:
    pongs = Pongs()
    assert not pongs.ponged(), "nobody asked"
    assert pongs.pinged()
    assert not pongs.pinged()
    assert pongs.ponged()
    assert pongs.pinged()
    assert not pongs.ponged(), "that was the second one's"
    assert pongs.ponged()
    assert not pongs.ponged()
