"""Heartbeats: whether the peer of a socket is still there, asked on one timing wheel for all."""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from typing import Final

__all__ = ["Heart", "Pongs", "Wheel"]

logger: logging.Logger = logging.getLogger("gatewright")

MAX_TICK: Final = 0.25
MIN_TICK: Final = 0.005
"""Seconds. A tick is a quarter of the shortest time that is measured, within these bounds."""


class Wheel:
    """The hearts of one node, in slots of a tick; one timer, which runs while there are any."""

    def __init__(self) -> None:
        self.tick: float = MAX_TICK
        """Seconds by which a heart is late at the most."""
        self.late: bool = False
        """Whether this turn comes so late that its time counts against nobody."""
        self._slots: dict[int, set[Heart]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._turned = 0.0
        self._next = 0.0
        self._slept = 0.0

    def __len__(self) -> int:
        return sum(len(hearts) for hearts in self._slots.values())

    def __bool__(self) -> bool:
        # A wheel that nobody is on yet is still a wheel.
        return True

    def awake(self, now: float) -> float:
        """The time without what we have slept through: suspended, or kept from our loop."""
        return now - self._slept

    def suit(self, shortest: float) -> None:
        """Be fine enough for a time of so many seconds."""
        tick = max(MIN_TICK, min(self.tick, shortest / 4))
        if tick >= self.tick:
            return
        self.tick = tick
        slots, self._slots = self._slots, {}
        for hearts in slots.values():
            for heart in hearts:
                self._slot(heart)
        if self._timer is not None:
            self._timer.cancel()
            self._turn_later(asyncio.get_running_loop())

    def put(self, heart: "Heart") -> None:
        """Have a heart beat when it is due."""
        self._slot(heart)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._turned = loop.time()
            self._turn_later(loop)

    def remove(self, heart: "Heart") -> None:
        hearts = self._slots.get(heart.slot)
        if hearts is not None:
            hearts.discard(heart)
            if not hearts:
                del self._slots[heart.slot]
        heart.slot = -1

    def stop(self) -> None:
        """Forget all hearts: the node is going away."""
        for hearts in self._slots.values():
            for heart in hearts:
                heart.slot = -1
        self._slots.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _slot(self, heart: "Heart") -> None:
        heart.slot = math.ceil(heart.due / self.tick)
        hearts = self._slots.get(heart.slot)
        if hearts is None:
            hearts = self._slots[heart.slot] = set()
        hearts.add(heart)

    def _turn_later(self, loop: asyncio.AbstractEventLoop) -> None:
        slot = math.floor(loop.time() / self.tick) + 1
        self._next = slot * self.tick
        self._timer = loop.call_at(self._next, self._turn)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        # A loop may round a time to its own clock's steps.
        now = max(loop.time(), self._next)
        elapsed, self._turned = now - self._turned, now
        overdue = elapsed > 2 * self.tick
        if overdue:
            self._slept += elapsed - self.tick
        # Between two turns the loop looks at its sockets: after a second one nothing is unread.
        self.late = overdue and not self.late
        current = round(now / self.tick) if now == self._next else math.floor(now / self.tick)
        due: list[Heart] = []
        for slot in [slot for slot in self._slots if slot <= current]:
            due += self._slots.pop(slot)
        for heart in due:
            # One may be stopped by another's end.
            if heart.slot < 0:
                continue
            try:
                heart.beat(now)
            except Exception:
                # One socket's trouble must not keep the others from being asked.
                logger.exception("a heartbeat failed")
        self._timer = None
        if self._slots:
            self._turn_later(loop)


class Heart:
    """Asks one peer every `interval` seconds, and finds it `dead` after `timeout` of silence.

    The first ping comes `first` seconds from now: by default after a random half of the interval or
    more, so that those who came together do not beat together. Whatever comes is a sign of life. A
    silence counts from the first ping in it, and only the time in which we could have heard; where
    `moving` says that the peer is still busy with what stood before the ping, it has once more
    `timeout` seconds.
    """

    __slots__ = (
        "_dead",
        "_heard",
        "_moving",
        "_pauses",
        "_ping",
        "_verdict",
        "_wheel",
        "due",
        "interval",
        "next_ping",
        "slot",
        "timeout",
    )

    def __init__(
        self,
        wheel: Wheel,
        interval: float,
        timeout: float,
        *,
        ping: Callable[[], None],
        dead: Callable[[], None],
        moving: Callable[[], bool] | None = None,
        first: float | None = None,
    ) -> None:
        self._wheel = wheel
        self.interval: float = interval
        self.timeout: float = timeout
        self._ping = ping
        self._dead = dead
        self._moving = moving
        self._heard = False
        self._verdict = math.inf
        self._pauses = 0
        self.slot: int = -1
        """Where the wheel has it; negative when it has stopped."""
        if first is None:
            first = self._part()
        self.next_ping: float = asyncio.get_running_loop().time() + first
        self.due: float = self.next_ping
        wheel.suit(min(interval, timeout))
        wheel.put(self)

    def heard(self) -> None:
        """Something came, whatever it is."""
        self._heard = True

    @property
    def reading(self) -> bool:
        """False while we are the ones who don't listen: then silence says nothing."""
        return not self._pauses

    def pause(self) -> None:
        """We stop reading what the peer sends; several may, each for a reason of its own."""
        self._pauses += 1

    def resume(self) -> None:
        """One of them is done: what came meanwhile was not lost, and its time counts as heard."""
        self._pauses -= 1
        self._heard = True

    def stop(self) -> None:
        """Ask no more; may be called twice."""
        self._wheel.remove(self)

    def beat(self, now: float) -> None:
        """Do what is due; called by the wheel."""
        wheel = self._wheel
        awake = wheel.awake(now)
        if self._heard or self._pauses:
            self._verdict = math.inf
        elif self._verdict <= awake and not wheel.late:
            if self._moving is None or not self._moving():
                self.slot = -1
                self._dead()
                return
            self._verdict = awake + self.timeout
        try:
            if self.next_ping <= now + wheel.tick / 1000:
                self._heard = False
                if self._verdict == math.inf:
                    self._verdict = awake + self.timeout
                # After a sleep of ours everybody is asked at once, but only once.
                self.next_ping = now + (self._part() if wheel.late else self.interval)
                self._ping()
        finally:
            if self.slot >= 0:
                # In the wheel's time; a turn that judges nobody comes back to it.
                verdict = max(now + self._verdict - awake, now + wheel.tick / 2)
                self.due = min(self.next_ping, verdict)
                wheel.put(self)

    def _part(self) -> float:
        return random.uniform(self.interval / 2, self.interval)  # noqa: S311 - no secret


class Pongs:
    """Which ping a pong answers, where both carry no number: they come in the order of the pings.

    What a pong confirms was sent before its ping, so a late one must not count for a later ping.
    """

    __slots__ = ("_asked", "pings", "pongs")

    def __init__(self) -> None:
        self.pings: int = 0
        self.pongs: int = 0
        """Those that answer a ping; what nobody asked for is none."""
        self._asked = 0

    def pinged(self) -> bool:
        """A ping leaves; whether `ponged` will tell of its answer."""
        self.pings += 1
        if self._asked:
            return False
        self._asked = self.pings
        return True

    def ponged(self) -> bool:
        """A pong came; whether it answers the last ping of which `pinged` said so."""
        if self.pongs == self.pings:
            return False
        self.pongs += 1
        if self.pongs != self._asked:
            return False
        self._asked = 0
        return True
