# ruff: noqa: T201 — it reports to whoever runs it
"""Mutated frames into a running server: every call gets its one end, and nothing is left behind.

    python -m tests.fuzz.sockets --frames 50000

Exits with 1, and says what was found, when a call has no end or two, when the server logs an
error, closes a connection that it need not close, or keeps a task, a room, a call or a connection.
"""

import argparse
import asyncio
import logging
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct

from gatewright import (
    Connection,
    Emitter,
    ErrorCode,
    Event,
    EventError,
    Gatewright,
    Settings,
    gateway,
    on,
)
from gatewright.protocol.codecs import EnvelopeCodec, FrameError, JsonCodec, MsgpackCodec
from tests._support.raw import CLOSE, RawClient, masked
from tests._support.remains import journal, nothing_remains
from tests._support.server import Url, serve
from tests.fuzz.corpus import Mutator, value

__all__ = ["Finding", "main", "run"]

MAX_FRAME = 16 * 1024
GROUPS = [1, 60, 60, 60, 600]
CODES = {code.value for code in ErrorCode}
PING = 2**40


class Finding(Exception):
    """What must not happen."""


class Said(Event, event="said"):
    text: str


class Ask(Event, event="ask"):
    what: int


class Say(Struct):
    room: Annotated[str, Meta(min_length=1, max_length=64)]
    text: str = ""


class Moved(Struct, tag="moved"):
    at: datetime


class Added(Struct, tag="added", forbid_unknown_fields=True):
    title: str


@gateway("/fuzz", emits=[Said, Ask])
class Target:
    @on("say")
    async def say(self, connection: Connection, emitter: Emitter, message: Say) -> int:
        await connection.join(message.room)
        return await emitter.to(message.room).emit(Said(message.text))

    @on("join")
    async def join(self, connection: Connection, room: str) -> list[str]:
        await connection.join(room)
        return sorted(connection.rooms)

    @on("leave")
    async def leave(self, connection: Connection, *, rooms: list[str]) -> None:
        await connection.leave(*rooms)

    @on("add")
    async def add(self, first: int, second: str | None = None, third: list[int] = []) -> int:  # noqa: B006 — never changed
        return first + len(third)

    @on("move")
    async def move(self, change: Moved | Added | Literal["none"]) -> str:
        return type(change).__name__

    @on("echo")
    async def echo(self, anything: Any) -> Any:
        return anything

    @on("type")
    async def type(self, emitter: Emitter, text: str = "") -> None:
        await emitter.emit(Said(text), volatile=True, key="typing")

    @on("count")
    async def count(self, to: int | str | None = None) -> AsyncIterator[int]:
        for number in range(to % 50 if isinstance(to, int) else 3):
            await asyncio.sleep(0)
            yield number

    @on("ask")
    async def ask(self, connection: Connection) -> int:
        return await connection.call(Ask(1), int)

    @on("refuse")
    async def refuse(self) -> None:
        raise EventError("not_today", "ask again", {"when": "tomorrow"})

    @on("ping")
    async def ping(self) -> str:
        return "pong"


CODES.add("not_today")


def expected(codec: EnvelopeCodec, message: str | bytes) -> tuple[str, int | None]:
    """What a frame is, and the id of the call that it makes: docs/protocol.md in a few lines."""
    try:
        envelope = codec.envelope(message)
    except FrameError:
        return "bad", None
    call_id = envelope.id if isinstance(envelope.id, int) else None
    if isinstance(envelope.event, str):
        return ("message", None) if call_id is None else ("call", call_id)
    if envelope.op is not UNSET:
        right = envelope.op == "cancel" and call_id is not None
        return ("cancel" if right else "bad"), None
    return ("bad", None) if call_id is None else ("answer", None)


class Attacker:
    """One connection that sends hostile frames and keeps the books of what must come back."""

    def __init__(self, client: RawClient, codec: EnvelopeCodec, rng: random.Random) -> None:
        self.client = client
        self.codec = codec
        self.rng = rng
        self.open: dict[int, str | bytes] = {}
        self.bad = 0
        self.told_bad = 0
        self.ends: Counter[str] = Counter()
        self.closed: int | None = None
        self._moved = asyncio.Event()
        self._failure: BaseException | None = None
        self._reading = asyncio.create_task(self._read())
        self._pings = PING

    async def send(self, messages: list[str | bytes]) -> int:
        """Send what does not repeat the id of a call that is still open; returns how many."""
        frames: list[bytes] = []
        for message in messages:
            kind, call_id = self.expected(message)
            if call_id is not None:
                if call_id in self.open:
                    continue
                self.open[call_id] = message
            self.bad += kind == "bad"
            frames.append(masked(message))
            if self.open and self.rng.random() < 0.05:
                # Often one that is under way, sometimes twice, sometimes just too late.
                cancelled = self.rng.choice(list(self.open))
                frames.append(masked(self.pack({"op": "cancel", "id": cancelled})))
        await self.client.send_bytes(b"".join(frames))
        return len(frames)

    async def settle(self) -> None:
        """Wait until every call has its end, those behind all others included."""
        self._pings += 1
        ping: dict[str, Any] = {"event": "ping", "id": self._pings}
        await self.send([self.pack(ping)])
        try:
            async with asyncio.timeout(20):
                while self.open and self.closed is None:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            raise Finding(f"calls without an end: {list(self.open.items())[:3]!r}") from None
        if self._failure is not None:
            raise self._failure
        if self.closed is not None:
            raise Finding(f"closed with {self.closed}, waiting for {list(self.open.items())[:3]!r}")
        if self.told_bad != self.bad:
            raise Finding(f"{self.bad} bad frames, {self.told_bad} were told so")

    async def provoke(self, data: bytes, code: int) -> None:
        """Send what must close the connection, with this code."""
        await self.client.send_bytes(data)
        async with asyncio.timeout(20):
            await self._reading
        if self.closed != code:
            raise Finding(f"expected to be closed with {code}, got {self.closed}")

    async def leave(self) -> None:
        """Go without a goodbye."""
        # First: the loop must not watch a socket's number when another one has it.
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await asyncio.sleep(0)
        self.client.reset()

    def pack(self, frame: Any) -> str | bytes:
        packed = self.codec.encode(frame) if isinstance(frame, Struct) else None
        if packed is not None:
            return packed.payload
        if self.codec.binary:
            return msgspec.msgpack.encode(frame)
        return msgspec.json.encode(frame).decode()

    async def _read(self) -> None:
        try:
            while True:
                opcode, payload = await self.client.receive()
                if opcode == CLOSE:
                    self.closed = int.from_bytes(payload[:2], "big")
                    return
                decode = msgspec.msgpack.decode if self.codec.binary else msgspec.json.decode
                await self._take(decode(payload))
                self._moved.set()
        except (EOFError, OSError):
            self.closed = self.closed or 1006
        except Finding as error:
            self._failure = error
            self.closed = self.closed or 0
        finally:
            self._moved.set()

    def expected(self, message: str | bytes) -> tuple[str, int | None]:
        return expected(self.codec, message)

    def control(self, frame: dict[str, Any]) -> None:
        raise Finding(f"a control frame: {frame!r}")

    def ended_twice(self, call_id: int, frame: dict[str, Any]) -> None:
        raise Finding(f"a second end, or one of no call: {call_id} {frame!r}")

    async def _take(self, frame: dict[str, Any]) -> None:
        if "op" in frame:
            self.control(frame)
            return
        if "event" in frame:
            if frame["event"] == "exception":
                self._check_error(frame["data"])
                # With an event it is the data that could not be read.
                error = frame["data"]
                self.told_bad += error["code"] == "bad_frame" and "event" not in error
            elif frame["event"] == "ask":
                await self._answer(frame["id"])
            elif frame["event"] != "said" or "id" in frame:
                raise Finding(f"an unknown event: {frame!r}")
            return
        call_id = frame.pop("id")
        if call_id not in self.open:
            self.ended_twice(call_id, frame)
            return
        if "item" in frame:
            self.ends["item"] += 1
            return
        del self.open[call_id]
        if "error" in frame:
            self._check_error(frame.pop("error"))
        else:
            frame.pop("data")
            self.ends["data"] += 1
        if frame:
            raise Finding(f"an end with more than an end: {frame!r}")

    def _check_error(self, error: dict[str, Any]) -> None:
        if error["code"] not in CODES:
            raise Finding(f"an undocumented code: {error!r}")
        if error["code"] == "internal":
            raise Finding(f"an unhandled error: {error!r}")
        if not error.get("message") and error["code"] not in {"cancelled", "interrupted"}:
            raise Finding(f"an error without words: {error!r}")
        self.ends[error["code"]] += 1

    async def _answer(self, call_id: int | str) -> None:
        kind = self.rng.random()
        right: dict[str, Any] = {"id": call_id, "data": 7}
        if kind < 0.6:
            frames = [right]
        elif kind < 0.9:
            key = self.rng.choice(["data", "error"])
            frames = [{"id": call_id, key: value(self.rng, 2)}, right]
        elif kind < 0.98:
            frames = [{"id": call_id, "error": {"code": "invalid", "message": "no"}}]
        else:
            frames = []
        for frame in frames:
            await self.client.send(self.pack(frame))


async def attack(url: Url, frames: int, mutator: Mutator) -> tuple[int, Counter[str]]:
    """Send so many frames over as many connections as that takes."""
    rng = mutator.rng
    codec: EnvelopeCodec = MsgpackCodec() if mutator.binary else JsonCodec()
    subprotocol = rng.choice(["plain.msgpack"] if codec.binary else [None, "plain.json"])
    sent, ends = 0, Counter[str]()
    while sent < frames:
        ends["connections"] += 1
        client = await RawClient.open(url, "/fuzz", subprotocol=subprotocol)
        attacker = Attacker(client, codec, rng)
        try:
            for _ in range(rng.randrange(1, 12)):
                sent += await attacker.send(messages(mutator, rng.choice(GROUPS)))
                await attacker.settle()
            last = rng.random()
            if last < 0.1:
                ends["too large"] += 1
                await attacker.provoke(masked(b"x" * (MAX_FRAME + 1)), 1009)
            elif last < 0.2 and not codec.binary:
                ends["no text"] += 1
                await attacker.provoke(masked(b'{"event":"\xff"}', 0x1), 1007)
            else:
                # In the middle of everything.
                sent += await attacker.send(messages(mutator, 20))
        finally:
            await attacker.leave()
            ends.update(attacker.ends)
    return sent, ends


def messages(mutator: Mutator, count: int) -> list[str | bytes]:
    """So many frames, without those that are too large to be read at all."""
    made = [message(mutator) for _ in range(count)]
    return [
        each for each in made if len(each.encode() if isinstance(each, str) else each) <= MAX_FRAME
    ]


def message(mutator: Mutator) -> str | bytes:
    """A frame that a WebSocket can carry; now and then of the other kind."""
    data = mutator.next(max_depth=3000)
    if mutator.rng.random() < 0.02:
        data = mutator.rng.choice([b'{"event":"ask","id":7}', b'{"event":"refuse","id":8}'])
        if mutator.binary:
            data = msgspec.msgpack.encode(msgspec.json.decode(data))
    other = mutator.rng.random() < 0.01
    return data if mutator.binary != other else data.decode("utf-8", "replace")


async def run(frames: int, seed: int) -> tuple[int, Counter[str]]:
    """Attack a server with so many frames; raises `Finding`, or returns what was sent and came."""
    settings = Settings(
        rate=None, max_frame=MAX_FRAME, call_timeout=0.05, accept_rate=None, finish_timeout=5
    )
    realtime = Gatewright(gateways=[Target], settings=settings)
    before = asyncio.all_tasks()
    total, sent = Counter[str](), 0
    expected = "Invalid UTF-8 sequence received from client."
    async with journal(logging.WARNING, expected) as entries:
        async with serve(realtime, ws="websockets-sansio") as url:
            during = asyncio.all_tasks()
            mutators = [Mutator(seed, binary=binary) for binary in (False, True)]
            for done, ends in await asyncio.gather(
                *(attack(url, frames // 2, mutator) for mutator in mutators)
            ):
                sent += done
                total += ends
            if kept := await nothing_remains(realtime, during):
                raise Finding(f"what is left: {kept}")
        left = asyncio.all_tasks() - before
        if left:
            raise Finding(f"{len(left)} tasks are left: {list(left)[:3]!r}")
    if entries:
        raise Finding(f"{len(entries)} log entries, the first: {entries[0]}")
    return sent, total


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Mutated frames into a running server.")
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        sent, ends = asyncio.run(run(options.frames, options.seed))
    except Finding as finding:
        print(f"seed {options.seed}: {finding}", file=sys.stderr)
        return 1
    seconds = time.perf_counter() - start
    print(f"{sent} frames in {seconds:.0f} s, seed {options.seed}: every call had its one end")
    for end, number in sorted(ends.items()):
        print(f"  {end}: {number}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
