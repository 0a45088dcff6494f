"""What a node hears: its lanes and its mail, on one connection to each server that has some."""

import asyncio
import logging
from collections.abc import Collection
from typing import Final

from msgspec import Struct
from redis.exceptions import MovedError, ResponseError

from gatewright.backplane.redis.connections import reason
from gatewright.backplane.redis.ear import Ear
from gatewright.backplane.redis.layout import CAST, Garbage, unpack
from gatewright.backplane.redis.line import Line
from gatewright.backplane.redis.options import Address
from gatewright.backplane.redis.servers import Servers
from gatewright.backplane.shared.log import Ears, Unreachable

__all__ = ["Channel", "Hearing"]

logger: logging.Logger = logging.getLogger("gatewright")

MOVES: Final = 5
"""Servers that send one on before somebody gives up."""


class Channel(Struct, eq=False):
    """What is subscribed to, and on which connection."""

    name: bytes
    slot: int
    namespace: str | None
    """Mail belongs to none."""
    ear: Ear
    settled: bool = False
    """Whether somebody relies on it: until then a failure is an exception, and then a break."""


class Hearing:
    """Subscribes to channels, and tells when something may be missed.

    One connection brings all that one server publishes, so that it arrives in the order in which
    that server said it (R2).
    """

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._channels: dict[bytes, Channel] = {}
        self._connections: dict[Address, Ear] = {}
        self._opening: dict[Address, asyncio.Task[Ear]] = {}

    async def stop(self) -> None:
        """Hear nothing more; the connections end with the servers'."""
        self._channels.clear()
        opening = [*self._opening.values()]
        for task in opening:
            task.cancel()
        if opening:
            await asyncio.wait(opening)

    async def subscribe(
        self, servers: Servers, name: str, slot: int, namespace: str | None
    ) -> Channel:
        """Hear what is published from here on; `settle` must follow. Raises `Unreachable`."""
        known = self._channels.get(name.encode())
        if known is not None and known.settled:
            return known
        address = servers.address(slot)
        for _ in range(MOVES):
            ear = await self._ear(servers, address)
            channel = Channel(name.encode(), slot, namespace, ear)
            # Before the answer: what is published right after it may be read in the same piece.
            self._channels[channel.name] = channel
            try:
                await ear.subscribe(channel.name)
            except MovedError as error:
                address = servers.follow(slot, error, ear)
            except ResponseError as error:
                raise Unreachable(
                    f"Redis at {ear.address} refused SSUBSCRIBE: {reason(error)}"
                ) from error
            else:
                return channel
            finally:
                if channel.name not in ear.channels:
                    self._forget(channel)
        raise Unreachable(f"{servers.options.text}: nobody serves slot {slot}")

    def settle(self, channel: Channel) -> None:
        """From here on a break is told; raises `Unreachable` if there was one already."""
        if self._channels.get(channel.name) is not channel:
            raise Unreachable(
                f"Redis at {channel.ear.address}: {channel.ear.failure or 'it moved'}"
            )
        channel.settled = True

    def unsubscribe(self, name: str) -> None:
        """Hear no more of it."""
        channel = self._channels.get(name.encode())
        if channel is not None:
            self.drop(channel)

    def drop(self, channel: Channel) -> None:
        """Forget it without a word; the server is told, and not waited for."""
        self._forget(channel)
        if channel.ear.failure is None and channel.name in channel.ear.channels:
            _ = channel.ear.unsubscribe(channel.name)

    def opened(self, line: Line) -> None:
        """A connection to ask on is there: another process may have taken an address."""
        ear = self._connections.get(line.address)
        if ear is not None and ear.run != line.run:
            ear.end("another process answers there now")

    def moved(self, servers: Servers) -> None:
        """Slots may have moved to other servers."""
        away = [
            channel
            for channel in self._channels.values()
            if servers.serves(channel.slot) != channel.ear.address
        ]
        for channel in away:
            self.drop(channel)
        self._tell(away)

    # Connections

    async def _ear(self, servers: Servers, address: Address) -> Ear:
        ear = self._connections.get(address)
        if ear is not None:
            return ear
        opening = self._opening.get(address)
        if opening is None:
            opening = self._opening[address] = asyncio.create_task(
                self._open(servers, address), name="redis: connecting"
            )
            opening.add_done_callback(lambda _: self._opening.pop(address, None))
        return await asyncio.shield(opening)

    async def _open(self, servers: Servers, address: Address) -> Ear:
        line = await servers.line(address)
        ear = Ear(servers.options, address, self._ended, self._brought, self._dropped)
        await ear.connect()
        servers.watch(ear)
        self._connections[address] = ear
        if ear.run != line.run or not ear.primary:
            ear.end("another process answers there now")
            raise ear.unreachable
        return ear

    def _ended(self, ear: Ear) -> None:
        if self._connections.get(ear.address) is ear:
            del self._connections[ear.address]
        logger.warning("Redis at %s: %s", ear.address, ear.failure)
        lost = [channel for channel in self._channels.values() if channel.ear is ear]
        for channel in lost:
            self._forget(channel)
        self._tell(lost)

    def _dropped(self, ear: Ear, name: bytes) -> None:
        channel = self._channels.get(name)
        if channel is not None and channel.ear is ear:
            self._forget(channel)
            self._tell([channel])

    def _forget(self, channel: Channel) -> None:
        if self._channels.get(channel.name) is channel:
            del self._channels[channel.name]

    def _tell(self, lost: Collection[Channel]) -> None:
        """Something may be missed of what was subscribed to."""
        settled = [channel for channel in lost if channel.settled]
        namespaces = {each.namespace for each in settled if each.namespace is not None}
        if any(channel.namespace is None for channel in settled):
            # There is no word for "the mail alone": all lanes begin again with it.
            for channel in [*self._channels.values()]:
                self.drop(channel)
            self._ears.broken(None)
        elif namespaces:
            self._ears.broken(namespaces)

    def _brought(self, name: bytes, body: bytes) -> None:
        channel = self._channels.get(name)
        if channel is None:
            return
        namespace = channel.namespace
        if namespace is None:
            self._ears.mail(body)
        elif body[:1] == bytes([CAST]):
            self._ears.cast(namespace, body[1:])
        else:
            try:
                message = unpack(body)
            except Garbage as error:
                logger.warning("%s: somebody else has published on its channel: %s", name, error)
            else:
                self._ears.heard(namespace, message)
