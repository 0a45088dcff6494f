"""Whom an emit is for, on this node and on the others, and what else can be done with them."""

import logging
from collections.abc import Collection
from functools import partial
from typing import Literal, Protocol, TypeAlias, cast

from msgspec import Struct
from typing_extensions import TypeForm, TypeVar

from gatewright.backplane.base import Backplane
from gatewright.calls import Answers, Calls, Others
from gatewright.errors import BackplaneError, ErrorCode, EventError, RequestTimeout
from gatewright.observing import Observer
from gatewright.protocol.codecs import EncHook
from gatewright.protocol.outgoing import Outgoing
from gatewright.protocol.stored import load
from gatewright.relays import Whom
from gatewright.remote import Parts, Remote
from gatewright.rooms import Member, Namespaces, send_volatile

__all__ = ["Deed", "Done", "Receivers"]

logger: logging.Logger = logging.getLogger("gatewright")

T = TypeVar("T")


Deed: TypeAlias = Literal["join", "leave", "disconnect", "save", "members", "count"]


class _Do(Struct, array_like=True, frozen=True):
    """Asks a node to do something with its receivers."""

    whom: Whom
    what: Deed
    rooms: tuple[str, ...] = ()
    reason: str = ""
    kept: bytes = b""
    """A state, as it is kept."""


class Done(Struct, array_like=True):
    """With whom it was done, and what the last of those was told who were refused."""

    count: int = 0
    ids: list[str] = []
    refusal: tuple[str, str] | None = None


class _Call(Struct, array_like=True, frozen=True):
    """Asks a node to call its receivers."""

    whom: Whom
    stored: bytes
    timeout: float
    patient: bool = False
    """Whether those that are away are asked when they are back."""


class _Volatile(Struct, array_like=True, frozen=True):
    """Tells a node of an event that may be lost."""

    whom: Whom
    stored: bytes
    key: str | None = None


class _Movable(Protocol):
    """What receivers can do besides; `Connection` is one."""

    @property
    def id(self) -> str: ...
    async def join(self, *rooms: str) -> None: ...
    async def leave(self, *rooms: str) -> None: ...
    async def replace(self, kept: bytes) -> None: ...
    def shut(self, reason: str = "") -> None: ...


class Receivers:
    """The receivers of emits, wherever they are."""

    def __init__(
        self,
        namespaces: Namespaces,
        calls: Calls,
        remote: Remote,
        backplane: Backplane,
        observers: list[Observer],
        enc_hook: EncHook | None,
        timeout: float,
    ) -> None:
        """`timeout` is how many seconds other nodes have to answer."""
        self._namespaces = namespaces
        self._calls = calls
        self._remote = remote
        self._backplane = backplane
        self._observers = observers
        self._enc_hook = enc_hook
        self._timeout = timeout
        remote.serve("do", _Do, self._asked)
        remote.serve("call", _Call, self._called)
        remote.hear("volatile", _Volatile, self._heard)

    def here(self, whom: Whom) -> Collection[Member]:
        """Those that are connected to this node."""
        return self._namespaces[whom.namespace].select(whom.rooms, whom.users, whom.except_)

    def absent(self, whom: Whom) -> list[Member]:
        """Those that this node expects back."""
        return self._namespaces.absent(whom.namespace, whom.rooms, whom.users, whom.except_)

    def elsewhere(self, whom: Whom) -> bool:
        """Whether there may be others at other nodes."""
        if not self._remote.nodes:
            return False
        if whom.rooms is None or whom.users is not None:
            return True
        # Of ids, which no room is called by, one knows where they are.
        members = self._namespaces[whom.namespace].members
        return any(room not in members for room in whom.rooms)

    # What is done with them

    async def volatile(self, whom: Whom, outgoing: Outgoing, key: str | None) -> None:
        """Send an event that may be lost: here at once, and to the other nodes."""
        self._send_volatile(whom, outgoing, key)
        if self.elsewhere(whom):
            message = _Volatile(whom, outgoing.store(self._enc_hook), key)
            await self._remote.cast(whom.namespace, "volatile", message)

    def _send_volatile(self, whom: Whom, outgoing: Outgoing, key: str | None) -> None:
        outgoing.position = self._namespaces.position(whom.namespace)
        outgoing.volatile = True
        members = self.here(whom)
        send_volatile(members, outgoing, key)
        for observer in self._observers:
            observer.sent(whom.namespace, members, outgoing.event, outgoing.data)

    def _heard(self, sender: str, message: _Volatile) -> None:
        whom = message.whom
        outgoing = Outgoing.restore(message.stored, 0, whom.namespace)
        self._send_volatile(whom, outgoing, message.key)

    async def do(
        self,
        whom: Whom,
        what: Deed,
        rooms: tuple[str, ...] = (),
        reason: str = "",
        kept: bytes = b"",
    ) -> Done:
        """Have something done with all of them.

        Raises `RequestTimeout` where a node says nothing in time; one that dies has no receivers.
        """
        message = _Do(whom, what, rooms, reason, kept)
        if not self.elsewhere(whom):
            return await self._do(message)
        own = await self._do(message)
        asked = await self._remote.ask("do", message, Done, timeout=self._timeout)
        for error in asked.errors.values():
            if error.code != ErrorCode.INTERRUPTED:
                raise error
        if asked.missing:
            raise RequestTimeout(self._timeout, asked.answers, asked.errors, asked.missing)
        for done in asked.answers.values():
            own.count += done.count
            own.ids += done.ids
            own.refusal = done.refusal or own.refusal
        return own

    async def _asked(self, sender: str, message: _Do, part: Parts) -> Done:
        return await self._do(message)

    async def _do(self, message: _Do) -> Done:
        whom, what = message.whom, message.what
        if what == "count":
            return Done(len(self.here(whom)))
        if what == "members":
            return Done(0, [member.id for member in self.here(whom)])
        if what == "disconnect" and self._any(whom):
            # After everything that was emitted to them.
            await self.catch_up(whom.namespace)
        done = Done()
        # The members of a namespace are connections; this floor only knows them as members.
        for each in cast(list[_Movable], [*self.here(whom), *self.absent(whom)]):
            try:
                if what == "join":
                    await each.join(*message.rooms)
                elif what == "leave":
                    await each.leave(*message.rooms)
                elif what == "save":
                    await each.replace(message.kept)
                else:
                    each.shut(message.reason)
            except EventError as error:
                done.refusal = error.code, error.message
            else:
                done.count += 1
                done.ids.append(each.id)
        return done

    def _any(self, whom: Whom) -> bool:
        return bool(self.here(whom) or self.absent(whom))

    async def catch_up(self, namespace: str) -> None:
        """Wait until this node has delivered what was emitted before, by whomever."""
        if not self._backplane.shared:
            return
        try:
            # What it returns comes after what the lane was told before.
            await self._backplane.position(namespace)
        except BackplaneError as error:
            logger.warning("%s: what was emitted may come too late: %s", namespace, error)

    async def call(
        self,
        whom: Whom,
        event: str,
        data: object,
        reply: TypeForm[T],
        timeout: float,
        *,
        patient: bool = False,
    ) -> Answers[T]:
        """Ask all of them, with `patient` those as well that answer when they are back."""
        await self.catch_up(whom.namespace)
        members = self._whom(whom, patient=patient)
        others: Others | None = None
        if self.elsewhere(whom):
            stored = Outgoing(event, data).store(self._enc_hook)
            message = _Call(whom, stored, timeout, patient)
            others = partial(self._remote.question, "call", message, None)
        return await self._call(whom.namespace, members, event, data, reply, timeout, others)

    async def call_here(
        self,
        member: Member,
        namespace: str,
        event: str,
        data: object,
        reply: TypeForm[T],
        timeout: float,
    ) -> Answers[T]:
        """Ask a connection of this node alone."""
        await self.catch_up(namespace)
        return await self._call(namespace, (member,), event, data, reply, timeout, None)

    async def _call(
        self,
        namespace: str,
        members: Collection[Member],
        event: str,
        data: object,
        reply: TypeForm[T],
        timeout: float,
        others: Others | None,
    ) -> Answers[T]:
        for observer in self._observers:
            observer.sent(namespace, members, event, data)
        calls = self._calls
        return await calls.call(namespace, members, event, data, reply, timeout, others=others)

    def _whom(self, whom: Whom, *, patient: bool) -> list[Member]:
        members = [*self.here(whom)]
        if patient:
            members += [each for each in self.absent(whom) if each.patient]
        return members

    async def _called(self, sender: str, message: _Call, part: Parts) -> None:
        whom = message.whom
        await self.catch_up(whom.namespace)
        members = self._whom(whom, patient=message.patient)
        if self._observers:
            event, data = load(message.stored)
            for observer in self._observers:
                observer.sent(whom.namespace, members, event, data)
        await self._calls.relay(whom.namespace, members, message.stored, message.timeout, part)
