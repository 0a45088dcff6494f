"""A node's part in the moves of sessions: what it hands over, and what it is told afterwards."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, TypeAlias

from gatewright.absences import Absences
from gatewright.backplane.base import Moved, Record
from gatewright.connection import Connection
from gatewright.errors import ErrorCode, EventError
from gatewright.ledger import Ledger
from gatewright.moves.asking import Asking, HandOver
from gatewright.moves.messages import About, CallEnded, CallIds, Ends, Key, Yield, Yielded
from gatewright.node import Node
from gatewright.protocol.stored import dump, load
from gatewright.remote import Parts, Remote
from gatewright.session import Session
from gatewright.types import Frame

__all__ = ["Moves"]

logger: logging.Logger = logging.getLogger("gatewright")

TOGETHER: Final = 64 * 1024
"""Bytes of ends that travel as one."""


News: TypeAlias = Callable[[Ledger], None]


class _Origin:
    """The node that a session has come from."""

    def __init__(self, node: str, key: Key, remote: Remote) -> None:
        self.node: str = node
        self._key = key
        self._remote = remote

    def cancel(self, call_id: int) -> None:
        self._remote.tell("cancel", CallIds(self._key, [call_id]), self.node)

    def over(self) -> None:
        self._remote.tell("over", About(self._key), self.node)


class _Departure:
    """A session that another node has, or is about to have, while handlers of it still run here."""

    def __init__(self, connection: Connection, ledger: Ledger, to: str | None) -> None:
        self.connection = connection
        self.ledger = ledger
        self.to = to


class Moves:
    """Hands sessions over to other nodes, and takes them over from those.

    What a node has to say about one afterwards it tells the node that it has handed it to, which
    hands it on if the session has gone further: so nothing overtakes the hand-over.
    """

    def __init__(self, node: Node, absences: Absences) -> None:
        self._node = node
        self._absences = absences
        self._remote = remote = node.remote
        self._asking = Asking(remote, node.settings.open_timeout / 2)
        self._departures: dict[Key, list[_Departure]] = {}
        self._arriving: dict[Key, list[tuple[str, News]]] = {}
        """What is said meanwhile about sessions that were asked for."""
        self._tasks: set[asyncio.Task[None]] = set()
        node.namespaces.moved = self._moved
        absences.over = self._over_by_record
        remote.serve("yield", Yield, self._yield)
        remote.hear("taken", About, self._taken)
        remote.hear("ended", CallEnded, self._ended)
        remote.hear("quiet", About, self._quiet)
        remote.hear("lost", CallIds, self._lost)
        remote.hear("cancel", CallIds, self._cancel)
        remote.hear("over", About, self._over)
        remote.watch(self._peers)

    def __len__(self) -> int:
        """How many sessions are elsewhere while handlers of them still run here."""
        return len(self._departures)

    async def stop(self) -> None:
        """The process ends: what still runs for sessions of other nodes has its time to end."""
        limit = self._node.settings.finish_timeout
        closing = [each.ledger.close(limit, over=False) for _, each in self._all()]
        await asyncio.gather(*closing)
        if self._tasks:
            await asyncio.wait(self._tasks)

    # Taking a session over

    async def ask(self, record: Record) -> HandOver | None:
        """Have the node that has a session let go of it; None where nobody else does."""
        return await self._asking.ask(record)

    @contextmanager
    def arriving(self, key: Key) -> Generator[None]:
        """Around taking a session over: what is said about it is kept until it is here."""
        self._arriving[key] = []
        try:
            yield
        finally:
            del self._arriving[key]

    def took(self, record: Record, connection: Connection, before: str | None) -> None:
        """This node has a session now, which was at a node before."""
        connection.moved = None
        key = record.namespace, record.id
        if before is not None and before != self._remote.name and before in self._remote.nodes:
            self._remote.tell("taken", About(key, record.generation), before)

    def follow(self, handed: HandOver, connection: Connection, ledger: Ledger) -> None:
        """Go on with the calls that still run where a session came from."""
        origin = _Origin(handed.node, (connection.namespace, connection.id), self._remote)
        ledger.follow(origin, handed.said.running, busy=handed.said.busy)
        # What has been said since it was handed over.
        for sender, news in self._arriving.get((connection.namespace, connection.id), ()):
            if sender == handed.node:
                news(ledger)

    def gone(self, key: Key, record: Record) -> None:
        """Let go of what is known of a session that has been elsewhere since."""
        self._gone(key, record.generation, record.node or "")

    def stay(self, connection: Connection, ledger: Ledger | None) -> None:
        """A session is here again, as it was before: what still runs tells its socket."""
        for departure in self._departures.get((connection.namespace, connection.id), ()):
            if departure.ledger is ledger:
                self._drop((connection.namespace, connection.id), departure)
                return

    def over(self, key: Key, node: str | None) -> None:
        """A session has ended that was at another node."""
        if node is not None and node != self._remote.name and node in self._remote.nodes:
            self._remote.tell("over", About(key), node)

    def _over_by_record(self, record: Record) -> None:
        self.over((record.namespace, record.id), record.node)

    # Handing one over

    async def _yield(self, sender: str, message: Yield, part: Parts) -> Yielded:
        part(Ends())
        key, absences = message.key, self._absences
        session = absences.here(key)
        if session is not None and _generation(session.connection) > message.generation:
            # Its client has returned here meanwhile.
            return Yielded()
        async with absences.taking(*key):
            absence = absences.absent(key)
            connection = absence.place.connection if absence is not None else None
            if absence is None or connection is None:
                return Yielded()
            if _generation(connection) > message.generation:
                return Yielded()
            asked = self._node.calls.hand_over(connection.id)
            ledger = absence.ledger
            if ledger is None:
                return Yielded(known=True, asked=asked)
            for ends in _in_parts(ledger.window.ends):
                part(ends)
            busy = bool(ledger.trailing)
            self._depart(key, connection, ledger, sender)
            window = ledger.window
            return Yielded(
                known=True,
                calls=True,
                codec=ledger.codec,
                taken=window.last,
                running=window.under_way,
                busy=busy,
                asked=asked,
            )

    def _depart(self, key: Key, connection: Connection, ledger: Ledger, to: str | None) -> None:
        """Tell a node, if there is one, how the calls end that still run here."""
        for known in self._departures.get(key, ()):
            if known.ledger is ledger:
                known.to = to
                return
        if not ledger.trailing:
            return
        departure = _Departure(connection, ledger, to)
        self._departures.setdefault(key, []).append(departure)
        ledger.replies.forward = partial(self._forward, key, departure)
        self._run(self._see_off(key, departure))

    async def _see_off(self, key: Key, departure: _Departure) -> None:
        """Wait until nothing runs here any more, and say so."""
        while trailing := departure.ledger.trailing:
            await asyncio.wait(trailing)
        if departure in self._departures.get(key, ()):
            self._drop(key, departure)
            if departure.to is not None:
                self._remote.tell("quiet", About(key), departure.to)

    def _drop(self, key: Key, departure: _Departure) -> None:
        departures = self._departures[key]
        departures.remove(departure)
        if not departures:
            del self._departures[key]
        departure.ledger.replies.forward = None

    def _forward(self, key: Key, departure: _Departure, call_id: int, result: Any) -> None:
        if departure.to is None:
            return
        try:
            self._remote.tell("ended", self._told(key, call_id, result), departure.to)
        except Exception:
            logger.exception("%r: the end of a call cannot be told", departure.connection)
            error = ErrorCode.INTERNAL, "the result cannot be encoded", None
            self._remote.tell("ended", CallEnded(key, call_id, error=error), departure.to)

    def _told(self, key: Key, call_id: int, result: Any) -> CallEnded:
        if isinstance(result, EventError):
            return CallEnded(key, call_id, error=(result.code, result.message, result.details))
        return CallEnded(key, call_id, dump("", result, self._node.states.enc_hook))

    # What one is told of a session that it had

    def _moved(self, passing: Moved) -> None:
        """From the lane: a node has taken a session over."""
        if passing.node != self._remote.name:
            self._gone((passing.namespace, passing.member), passing.generation, passing.node)

    def _taken(self, sender: str, message: About) -> None:
        self._gone(message.key, message.generation, sender)

    def _gone(self, key: Key, generation: int, to: str) -> None:
        """Let go of a session that a node has taken over."""
        session, absence = self._absences.here(key), self._absences.absent(key)
        if session is not None and _generation(session.connection) < generation:
            # It was taken without having been asked for.
            session.connection.moved = to
            self._run(self._let_go(key, session))
        connection = absence.place.connection if absence is not None else None
        if absence is not None and connection is not None and _generation(connection) < generation:
            self._absences.forget(key)
            self._node.calls.gone(key[1])
            connection.moved = to
            if absence.ledger is not None:
                self._leave_behind(key, connection, absence.ledger)

    async def _let_go(self, key: Key, session: Session) -> None:
        await self._absences.fence(session)
        if session.ledger is not None:
            self._leave_behind(key, session.connection, session.ledger)

    def _leave_behind(self, key: Key, connection: Connection, ledger: Ledger) -> None:
        """See that what still runs ends with the process, if nobody has asked for it."""
        if not any(each.ledger is ledger for each in self._departures.get(key, ())):
            self._depart(key, connection, ledger, None)

    def _over(self, sender: str, message: About) -> None:
        """It is over: what still runs of it here ends as well."""
        key = message.key
        absence = self._absences.forget(key)
        self._node.calls.lost(key[1])
        if absence is not None and absence.place.connection is not None:
            self._absences.part(absence.place.connection, absence.ledger)
        for departure in self._departures.get(key, ()):
            if departure.to == sender:
                if departure.ledger.origin is not None:
                    departure.ledger.origin.over()
                self._absences.part(departure.connection, departure.ledger)

    def _cancel(self, sender: str, message: CallIds) -> None:
        for departure in self._departures.get(message.key, ()):
            if departure.to == sender:
                for id in message.ids:
                    departure.ledger.cancel(id)

    # What one is told of a session that it has

    def _ended(self, sender: str, message: CallEnded) -> None:
        self._tell(sender, message.key, lambda ledger: _end(ledger, message))

    def _quiet(self, sender: str, message: About) -> None:
        self._tell(sender, message.key, lambda ledger: ledger.quiet())

    def _lost(self, sender: str, message: CallIds) -> None:
        key, ids = message.key, message.ids
        self._tell(sender, key, lambda ledger: self._lose(key, ledger, ids))

    def _tell(self, sender: str, key: Key, news: News) -> None:
        """Tell whoever knows of the calls of a session that the sender has handed over."""
        arriving = self._arriving.get(key)
        if arriving is not None:
            arriving.append((sender, news))
        for ledger in self._from(sender, key):
            news(ledger)

    def _peers(self, node: str, lives: bool) -> None:  # noqa: FBT001 - as it is told
        self._asking.heard(node)
        if lives:
            return
        known = self._absences.ledgers()
        for key, departure in self._all():
            known.append((key, departure.ledger))
            if departure.to == node:
                departure.to = None
        for key, ledger in known:
            if ledger.origin is not None and ledger.origin.node == node:
                ledger.origin = None
                self._lose(key, ledger, sorted(ledger.elsewhere))
                ledger.quiet()

    def _lose(self, key: Key, ledger: Ledger, ids: Sequence[int]) -> None:
        """Calls that another node executed are lost with it."""
        lost = [id for id in ids if id in ledger.elsewhere]
        ledger.elsewhere.difference_update(lost)
        ledger.window.lose(lost)
        for departure in self._departures.get(key, ()):
            if departure.ledger is ledger and departure.to is not None and lost:
                self._remote.tell("lost", CallIds(key, lost), departure.to)
        session = self._absences.here(key)
        if session is not None and session.ledger is ledger:
            session.lose_calls(lost)

    # Who is meant

    def _from(self, sender: str, key: Key) -> list[Ledger]:
        """What is known of the calls of a session that a node has handed over."""
        found: list[Ledger | None] = [each.ledger for each in self._departures.get(key, ())]
        session, absence = self._absences.here(key), self._absences.absent(key)
        if session is not None:
            found.append(session.ledger)
        if absence is not None and absence.ledger not in found:
            found.append(absence.ledger)
        return [
            ledger
            for ledger in found
            if ledger is not None and ledger.origin is not None and ledger.origin.node == sender
        ]

    def _all(self) -> list[tuple[Key, _Departure]]:
        return [(key, each) for key, several in self._departures.items() for each in several]

    def _run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end(ledger: Ledger, message: CallEnded) -> None:
    """A call has ended that another node has executed."""
    id = message.call_id
    if id not in ledger.elsewhere:
        return
    ledger.elsewhere.discard(id)
    if message.error is not None:
        ledger.replies.fail(id, None, EventError(*message.error))
    elif message.data is not None:
        ledger.replies.answer(id, None, load(message.data)[1])


def _generation(connection: Connection) -> int:
    return connection.keeper.generation if connection.keeper is not None else 0


def _in_parts(ends: Sequence[tuple[int, Frame]]) -> list[Ends]:
    parts: list[Ends] = []
    size = 0
    for id, frame in ends:
        if not parts or size + frame.size > TOGETHER:
            parts.append(Ends([]))
            size = 0
        parts[-1].ends.append((id, frame.data, frame.binary))
        size += frame.size
    return parts
