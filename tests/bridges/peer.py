"""A server of a Socket.IO cluster that says what a test tells it to, and hears everything."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from redis.asyncio import Redis

__all__ = ["Peer", "peer", "until"]

PATIENCE = 10
UID = "peer01"


class Peer:
    """One namespace of it. What it hears is decoded; its own words are left out."""

    def __init__(self, redis: Any, namespace: str, key: str) -> None:
        self._redis = redis
        self.namespace = namespace
        self.channel = f"{key}#{namespace}#"
        self.requests = f"{key}-request#{namespace}#"
        self.responses = f"{key}-response#{namespace}#"
        self.broadcasts: list[Any] = []
        self.asked: list[dict[str, Any]] = []
        self.answers: list[dict[str, Any]] = []
        self.changed = asyncio.Event()

    async def say(self, channel: str, message: bytes | str) -> None:
        await self._redis.publish(channel, message)

    async def broadcast(
        self,
        event: Any,
        *arguments: Any,
        rooms: Sequence[Any] = (),
        out: Sequence[Any] = (),
        uid: str = UID,
        **flags: Any,
    ) -> None:
        packet = {"type": 2, "data": [event, *arguments], "nsp": self.namespace}
        options = {"rooms": rooms, "except": out, "flags": flags}
        room = f"{rooms[0]}#" if len(rooms) == 1 else ""
        await self.say(self.channel + room, msgspec.msgpack.encode([uid, packet, options]))

    async def request(self, kind: int, *, binary: bool = False, **fields: Any) -> None:
        request = {"type": kind, "uid": UID, **fields}
        encode = msgspec.msgpack.encode if binary else msgspec.json.encode
        await self.say(self.requests, encode(request))

    async def ask(
        self, kind: int, answers: int = 1, *, binary: bool = False, **fields: Any
    ) -> list[dict[str, Any]]:
        """Ask, and wait for so many answers, in their order."""
        id = f"r{len(self.answers)}"
        await self.request(kind, binary=binary, requestId=id, **fields)
        await self.until(lambda: len(self.to(id)) >= answers)
        return self.to(id)

    def to(self, id: str) -> list[dict[str, Any]]:
        return [answer for answer in self.answers if answer.get("requestId") == id]

    async def answer(self, uid: str, *, binary: bool = False, **fields: Any) -> None:
        encode = msgspec.msgpack.encode if binary else msgspec.json.encode
        await self.say(f"{self.responses}{uid}#" if uid else self.responses, encode(fields))

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that changes with what it hears."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    def hear(self, message: dict[str, Any]) -> None:
        if message["type"] not in {"message", "pmessage"}:
            return
        channel, data = message["channel"].decode(), message["data"]
        found = json.loads(data) if data[:1] == b"{" else msgspec.msgpack.decode(data)
        if channel == self.requests:
            if found.get("uid") != UID:
                self.asked.append(found)
        elif channel.startswith(self.responses):
            self.answers.append(found)
        elif found[0] != UID:
            self.broadcasts.append(found)
        self.changed.set()


@asynccontextmanager
async def peer(url: str, namespace: str = "/chat", key: str = "socket.io") -> AsyncGenerator[Peer]:
    """A peer that is counted as servers are, and hears the answers to all of them."""
    client: Any = Redis
    async with client.from_url(url) as redis, redis.pubsub() as pubsub:
        found = Peer(redis, namespace, key)
        await pubsub.psubscribe(f"{found.channel}*", f"{found.responses}*")
        await pubsub.subscribe(found.requests)
        for _ in range(3):
            assert await pubsub.get_message(timeout=PATIENCE) is not None

        async def listen() -> None:
            while True:
                message = await pubsub.get_message(timeout=PATIENCE)
                if message is not None:
                    found.hear(message)

        listening = asyncio.create_task(listen())
        try:
            yield found
        finally:
            listening.cancel()
            await asyncio.wait([listening])


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what nobody announces."""
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)
