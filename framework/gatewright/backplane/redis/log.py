"""The engine of the shared backplane over Redis."""

import logging
from collections.abc import Collection, Sequence
from secrets import token_urlsafe
from typing import Any, Final

import msgspec
from typing_extensions import override

from gatewright.backplane.base import DEFAULT_BOUNDS, Bounds
from gatewright.backplane.redis.checks import check_rights, check_server
from gatewright.backplane.redis.hearing import Hearing
from gatewright.backplane.redis.layout import Garbage, Names, cast, unpack
from gatewright.backplane.redis.line import Line
from gatewright.backplane.redis.options import DEFAULT_PREFIX, Options
from gatewright.backplane.redis.scripts import (
    APPEND,
    CREATE,
    DUE,
    HEAD,
    READ,
    REMIND,
    REMOVE,
    REPLACE,
    Script,
)
from gatewright.backplane.redis.servers import Servers
from gatewright.backplane.shared.log import (
    Ears,
    Head,
    Log,
    Message,
    Page,
    Replaced,
    Stored,
    Unreachable,
)
from gatewright.errors import StartupError

__all__ = ["RedisLog"]

logger: logging.Logger = logging.getLogger("gatewright")

MARGIN: Final = 30.0
"""Seconds for which messages are kept beyond what is promised."""

LASTING: Final = 7 * 24 * 3600.0
"""Seconds for which a record is kept that nobody writes any more, since all nodes have died."""

AGAIN: Final = 60.0
"""Seconds after which it is told again what is due."""

PAGE_BYTES: Final = 1024 * 1024
PAGE_MESSAGES: Final = 1000
MOST_NAMES: Final = 10_000


class RedisLog(Log):
    """Lanes are streams, records are hashes, and each step is one script (`lua/`).

    `url` is `redis://`, `rediss://` (TLS), `unix://`, or `redis+cluster://` and `rediss+cluster://`
    with one or more of the servers, which `cluster` says as well. All keys and channels begin with
    `prefix`. `further` are options of `redis.asyncio.Connection`, as `username`, `password` or
    `ssl_ca_certs`.
    """

    def __init__(
        self,
        url: str,
        *,
        prefix: str = DEFAULT_PREFIX,
        cluster: bool = False,
        **further: Any,
    ) -> None:
        self._options = Options.of(url, prefix, further, cluster=cluster)
        self._servers = Servers(self._options, self._opened, self._moved)
        self._hearing: Hearing | None = None
        self._bounds = DEFAULT_BOUNDS
        self._node = ""
        self._names: dict[str, Names] = {}
        self._common = self._name("")

    @override
    async def start(self, node: str, ears: Ears, bounds: Bounds) -> None:
        self._node, self._bounds = node, bounds
        self._hearing = Hearing(ears)
        try:
            line = await self._servers.start()
            check_server(self._options, line)
            names = Names(self._options.prefix, "", f":{node}", self._options.database)
            line = await self._servers.line(self._servers.address(names.slot))
            await check_rights(self._options, line, names)
            await self.listen()
        except Unreachable as error:
            raise StartupError(
                self._options.where,
                expected="a server that can be used",
                got=f"{error}",
                fix="Look at the URL, the server, and what its users may do.",
            ) from error

    @override
    async def stop(self) -> None:
        if self._hearing is not None:
            await self._hearing.stop()
        await self._servers.stop()

    def _opened(self, line: Line) -> None:
        if self._hearing is not None:
            self._hearing.opened(line)

    def _moved(self) -> None:
        if self._hearing is not None:
            self._hearing.moved(self._servers)

    # Lanes

    @override
    async def append(
        self, namespace: str, body: bytes, count: int, number: int, member: str | None = None
    ) -> Head:
        names = self._name(namespace)
        record = () if member is None else (names.record + member,)
        return _head(await self._run(APPEND, names, record, body, count, self._node, number))

    @override
    async def head(self, namespace: str) -> Head:
        return _head(await self._run(HEAD, self._name(namespace), ()))

    @override
    async def subscribe(self, namespace: str) -> Head:
        names, hearing = self._name(namespace), self._ears
        channel = await hearing.subscribe(self._servers, names.channel, names.slot, namespace)
        try:
            head = await self.head(namespace)
        except BaseException:
            if not channel.settled:
                hearing.drop(channel)
            raise
        hearing.settle(channel)
        return head

    @override
    async def unsubscribe(self, namespace: str) -> None:
        self._ears.unsubscribe(self._name(namespace).channel)

    @override
    async def read(self, namespace: str, after: int) -> Page:
        names = self._name(namespace)
        reply = await self._run(READ, names, (), after, PAGE_BYTES, PAGE_MESSAGES)
        *head, since = reply[:4]
        return Page(_head(head), [unpack(packed) for packed in reply[4:]], int(since))

    # Records

    @override
    async def load(self, namespace: str, id: str) -> Stored | None:
        names = self._name(namespace)
        reply = await self._servers.ask(names.slot, "HGETALL", names.record + id)
        fields: dict[bytes, bytes] = dict(zip(reply[::2], reply[1::2], strict=True))
        try:
            version, record = fields[b"version"].decode(), fields[b"record"]
            marks = [unpack(packed) for name, packed in fields.items() if name[:1] == b"m"]
        except KeyError:
            return None
        except (Garbage, UnicodeDecodeError):
            # As good as lost: its client begins anew, and knows it.
            logger.exception(
                "%s: the record of %s has been changed by somebody else", namespace, id
            )
            return None
        return Stored(id, record, version, _sorted(marks))

    @override
    async def find(self, namespace: str, key: bytes) -> Stored | None:
        names = self._name(namespace)
        # In two steps: while a slot moves, each of the two keys is where it is.
        id: bytes | None = await self._servers.ask(names.slot, "GET", names.index + key.hex())
        return None if id is None else await self.load(namespace, id.decode())

    @override
    async def create(
        self, namespace: str, id: str, record: bytes, version: str, keys: Collection[bytes]
    ) -> Head | None:
        names, digits = self._name(namespace), [key.hex() for key in keys]
        reply = await self._change(CREATE, names, id, digits, record, version, *digits)
        return None if reply is None else _head(reply)

    @override
    async def replace(
        self,
        namespace: str,
        stored: Stored,
        record: bytes,
        version: str,
        *,
        folded: int,
        add: Collection[bytes] = (),
        drop: Collection[bytes] = (),
        marker: bytes | None = None,
    ) -> Replaced | None:
        digits = [key.hex() for key in (*add, *drop)]
        reply = await self._change(
            REPLACE,
            self._name(namespace),
            stored.id,
            digits,
            record,
            version,
            stored.version,
            folded,
            *_optional(marker),
            len(add),
            *digits,
        )
        if reply is None:
            return None
        return Replaced(version, _head(reply[:3]), _sorted(map(unpack, reply[3:])))

    @override
    async def remove(
        self, namespace: str, stored: Stored, keys: Collection[bytes], marker: bytes | None = None
    ) -> bool:
        names, digits = self._name(namespace), [key.hex() for key in keys]
        reply = await self._change(
            REMOVE, names, stored.id, digits, stored.version, *_optional(marker)
        )
        return bool(reply)

    # Reminders

    @override
    async def remind(self, namespace: str, id: str, at: float) -> None:
        slot, key = self._common.slot, self._common.due
        member = msgspec.msgpack.encode((namespace, id))
        await self._servers.run(slot, REMIND, (key,), at, member, int(2 * self._lasting))

    @override
    async def due(self, now: float, limit: int) -> Sequence[tuple[str, str]]:
        slot, key = self._common.slot, self._common.due
        due: list[tuple[str, str]] = []
        for member in await self._servers.run(slot, DUE, (key,), now, now + AGAIN, limit):
            try:
                due.append(msgspec.msgpack.decode(member, type=tuple[str, str]))
            except msgspec.MsgspecError:
                logger.exception("%s: somebody else has put in a reminder", key)
                await self._servers.ask(slot, "ZREM", key, member)
        return due

    @override
    async def forget(self, namespace: str, id: str) -> None:
        member = msgspec.msgpack.encode((namespace, id))
        await self._servers.ask(self._common.slot, "ZREM", self._common.due, member)

    # Nodes

    @override
    async def listen(self) -> None:
        names = self._common
        for name in (names.nodes, names.node(self._node)):
            channel = await self._ears.subscribe(self._servers, name, names.slot, None)
            self._ears.settle(channel)

    @override
    async def cast(self, namespace: str, body: bytes) -> None:
        names = self._name(namespace)
        await self._servers.ask(names.slot, "SPUBLISH", names.channel, cast(body))

    @override
    async def send(self, body: bytes, node: str | None = None) -> None:
        names = self._common
        channel = names.nodes if node is None else names.node(node)
        await self._servers.ask(names.slot, "SPUBLISH", channel, body)

    # What scripts get

    @property
    def _lasting(self) -> float:
        """Milliseconds."""
        return (LASTING + self._bounds.grace) * 1000

    async def _run(
        self, script: Script, names: Names, keys: Collection[str], *arguments: Any
    ) -> Any:
        """Run a script that begins with `lane.lua`."""
        keep = (max(self._bounds.age, self._bounds.grace) + MARGIN) * 1e6
        return await self._servers.run(
            names.slot,
            script,
            (names.state, names.messages, *keys),
            token_urlsafe(9),
            names.channel,
            int(keep),
            self._bounds.namespace_bytes,
            int(self._lasting),
            *arguments,
        )

    async def _change(
        self, script: Script, names: Names, id: str, digits: Collection[str], *arguments: Any
    ) -> Any:
        """Run a script that begins with `records.lua`."""
        keys = (names.record + id, *(names.index + each for each in digits))
        return await self._run(script, names, keys, id, names.record, names.index, *arguments)

    def _name(self, namespace: str) -> Names:
        names = self._names.get(namespace)
        if names is None:
            if len(self._names) >= MOST_NAMES:
                self._names.clear()
            names = Names(self._options.prefix, namespace, database=self._options.database)
            self._names[namespace] = names
        return names

    @property
    def _ears(self) -> Hearing:
        if self._hearing is None:
            raise Unreachable(f"{self._options.text}: this node has not started")
        return self._hearing


def _head(reply: Sequence[Any]) -> Head:
    epoch, n, seq = reply
    return Head(epoch.decode(), int(n), int(seq))


def _sorted(marks: Any) -> tuple[Message, ...]:
    return tuple(sorted(marks, key=lambda mark: mark.n))


def _optional(marker: bytes | None) -> tuple[int, bytes]:
    return (0, b"") if marker is None else (1, marker)
