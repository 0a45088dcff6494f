"""The engine of the shared backplane on NATS JetStream."""

import asyncio
import hashlib
import logging
import random
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from typing_extensions import override

from gatewright.backplane.base import Bounds
from gatewright.backplane.nats.checks import (
    WHERE,
    Probe,
    check_account,
    check_server,
    probe,
)
from gatewright.backplane.nats.connection import Connection, Nobody
from gatewright.backplane.nats.jetstream import Info, JetStream, Missing
from gatewright.backplane.nats.lanes import Lanes
from gatewright.backplane.nats.records import Records
from gatewright.backplane.nats.reminders import Reminders
from gatewright.backplane.nats.streams import Layout, provide
from gatewright.backplane.nats.sweeping import sweep
from gatewright.backplane.shared.log import Ears, Head, Log, Page, Replaced, Stored, Unreachable
from gatewright.errors import StartupError

__all__ = ["NatsLog"]

logger: logging.Logger = logging.getLogger("gatewright")

LIMIT: Final = 4.0
"""Seconds within which everything is done, or cannot be."""

SWEEP_EVERY: Final = 3600.0
"""Seconds, on the average: nodes that start together do not sweep together."""


class NatsLog(Log):
    """Lanes, records and reminders in JetStream; mail and casts by NATS itself."""

    def __init__(
        self, servers: Sequence[str], layout: Layout, options: Mapping[str, Any] | None = None
    ) -> None:
        """`options` are those of `nats.connect` that say who connects, and how."""
        self._servers = servers
        self._layout = layout
        self._options = options or {}
        self._js = JetStream(self._reach)
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._lost: list[Connection] = []
        self._listening: Connection | None = None
        self._provided = False
        self._stopped = True
        self._sweeping: asyncio.Task[None] | None = None
        self._node = ""
        self._ears: Ears
        self._lanes: Lanes
        self._records: Records
        self._reminders: Reminders

    @override
    async def start(self, node: str, ears: Ears, bounds: Bounds) -> None:
        self._node, self._ears, self._stopped = node, ears, False
        self._lanes = self._made(ears, bounds)
        self._records = Records(self._js, self._layout, self._lanes)
        self._reminders = Reminders(self._js, self._layout, self._life)
        try:
            async with asyncio.timeout(2 * LIMIT):
                await self._check(bounds)
                await self.listen()
        except (Unreachable, TimeoutError) as error:
            raise StartupError(
                WHERE,
                expected="a NATS server that does what is asked of it",
                got=str(error) or "no answer in time",
                fix="See docs/backplanes.md for what it must have and this user be allowed to do.",
            ) from error
        self._sweeping = asyncio.create_task(self._sweep(), name="nats: sweep")

    def _made(self, ears: Ears, bounds: Bounds) -> Lanes:
        return Lanes(self._js, self._reach, self._layout, ears, bounds, self._epoch)

    async def _check(self, bounds: Bounds) -> None:
        connection = await self._reach()
        check_server(connection.info, self._servers, self._layout)
        check_account(await self._js.account(), self._layout, bounds)
        await self._provide()
        ears = Probe()
        await probe(self._js, self._layout, self._made(ears, bounds), ears, self._node)

    async def _provide(self) -> None:
        layout = self._layout
        for name, kinds in (
            (layout.records, ("record", "key")),
            (layout.reminders, ("reminder",)),
        ):
            subjects = [f"{layout.prefix}.{kind}.>" for kind in kinds]
            await provide(self._js, name, partial(layout.newest_only, name, subjects))
        self._provided = True

    @override
    async def stop(self) -> None:
        self._stopped = True
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait([self._sweeping])
            self._sweeping = None
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        connection, self._connection = self._connection, None
        for each in (*self._lost, connection):
            if each is not None:
                await each.close()
        self._lost.clear()

    # The connection

    async def _reach(self) -> Connection:
        if self._connection is not None:
            return self._connection
        if self._stopped:
            raise Unreachable("this node has stopped")
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name="nats: connect")
        # Others wait for it too: a cancellation is one's own.
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> Connection:
        try:
            self._lost = [each for each in self._lost if not each.closed]
            connection = await Connection.open(
                self._servers,
                {**self._options, "name": f"gatewright {self._node}"},
                self._is_lost,
            )
        finally:
            self._connecting = None
        if connection.lost:
            self._lost.append(connection)
            raise Unreachable("the NATS server has closed the connection at once")
        self._connection = connection
        return connection

    def _is_lost(self, connection: Connection, why: str) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._provided = False
        self._lost.append(connection)
        if not self._stopped:
            logger.warning("the connection to NATS is lost: %s", why)
            self._lanes.silence()
            self._ears.broken(None)

    async def _epoch(self, stream: str) -> str:
        """What changes when a lane may have lost something without its stream showing it.

        A server that stands alone writes to its disk some time after it has said that something is
        stored: whether it was restarted by hand or by a power cut, nobody can tell.
        """
        if self._layout.replicas == 1:
            stream += (await self._reach()).info.get("server_id", "")
        return hashlib.blake2b(stream.encode(), digest_size=5).hexdigest()

    async def _life(self, info: Info) -> str:
        return await self._epoch(info.created)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY * random.uniform(0.5, 1.5))  # noqa: S311
            try:
                await sweep(await self._reach(), self._js, self._layout)
            except Exception:
                logger.exception("streams of unused namespaces could not be looked for")

    @asynccontextmanager
    async def _step(self) -> AsyncGenerator[None]:
        """Something that is done within a few seconds, or raises `Unreachable`."""
        try:
            async with asyncio.timeout(LIMIT):
                if not self._provided:
                    await self._provide()
                yield
        except TimeoutError:
            raise Unreachable(f"NATS has not done it in {LIMIT:g} s") from None
        except (Nobody, Missing):
            # Somebody may have deleted a stream: the next step looks.
            self._provided = False
            raise

    # Lanes

    @override
    async def append(
        self, namespace: str, body: bytes, count: int, number: int, member: str | None = None
    ) -> Head:
        async with self._step():
            id = f"{self._node}:{number}"
            return await self._lanes.append(namespace, body, count, id, member)

    @override
    async def head(self, namespace: str) -> Head:
        async with self._step():
            return await self._lanes.head(namespace)

    @override
    async def subscribe(self, namespace: str) -> Head:
        async with self._step():
            return await self._lanes.subscribe(namespace)

    @override
    async def unsubscribe(self, namespace: str) -> None:
        await self._lanes.unsubscribe(namespace)

    @override
    async def read(self, namespace: str, after: int) -> Page:
        async with self._step():
            return await self._lanes.read(namespace, after)

    # Records

    @override
    async def load(self, namespace: str, id: str) -> Stored | None:
        async with self._step():
            return await self._records.load(namespace, id)

    @override
    async def find(self, namespace: str, key: bytes) -> Stored | None:
        async with self._step():
            return await self._records.find(namespace, key)

    @override
    async def create(
        self, namespace: str, id: str, record: bytes, version: str, keys: Collection[bytes]
    ) -> Head | None:
        async with self._step():
            return await self._records.create(namespace, id, record, version, keys)

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
        async with self._step():
            return await self._records.replace(
                namespace, stored, record, version, folded, add, drop, marker
            )

    @override
    async def remove(
        self, namespace: str, stored: Stored, keys: Collection[bytes], marker: bytes | None = None
    ) -> bool:
        async with self._step():
            return await self._records.remove(namespace, stored, keys, marker)

    @override
    async def remind(self, namespace: str, id: str, at: float) -> None:
        async with self._step():
            await self._reminders.remind(namespace, id, at)

    @override
    async def due(self, now: float, limit: int) -> Sequence[tuple[str, str]]:
        async with self._step():
            return await self._reminders.due(now, limit)

    @override
    async def forget(self, namespace: str, id: str) -> None:
        async with self._step():
            await self._reminders.forget(namespace, id)

    # Nodes

    @override
    async def listen(self) -> None:
        async with self._step():
            connection = await self._reach()
            if self._listening is not connection:
                subjects = self._layout.node(self._node), self._layout.nodes
                await connection.subscribe_in_order(subjects, self._ears.mail)
                if connection.lost:
                    raise Unreachable("the connection to NATS was lost meanwhile")
                self._listening = connection

    @override
    async def cast(self, namespace: str, body: bytes) -> None:
        async with self._step():
            await (await self._reach()).publish(self._layout.cast(namespace), body)

    @override
    async def send(self, body: bytes, node: str | None = None) -> None:
        async with self._step():
            subject = self._layout.nodes if node is None else self._layout.node(node)
            await (await self._reach()).publish(subject, body)
