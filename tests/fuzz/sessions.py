# ruff: noqa: T201 — it reports to whoever runs it
"""Mutated frames of gw.v1 into a running server, whose clients vanish and return in between.

    python -m tests.fuzz.sessions --frames 50000

Exits with 1, and says what was found, when a session is not resumed, a position does not rise, a
call has no end or two, or something is left behind.
"""

import argparse
import asyncio
import logging
import random
import sys
import time
from collections import Counter
from typing import Any

import msgspec
from msgspec import UNSET

from gatewright import Gatewright, Settings
from gatewright.protocol.codecs import FrameError
from gatewright.protocol.sessions.codecs import (
    SessionCodec,
    SessionJsonCodec,
    SessionMsgpackCodec,
)
from tests._support.raw import RawClient, masked
from tests._support.remains import journal, nothing_remains
from tests._support.server import Url, serve
from tests.fuzz.corpus import NUMBERS, TEXTS, Mutator, value
from tests.fuzz.sockets import GROUPS, MAX_FRAME, Attacker, Finding, Target, message

__all__ = ["main", "run"]

KNOWN = ("ping", "pong", "auth")
ANSWERS = {"hello", "gap", "ping", "pong", "ack", "auth"}
OPEN_CODES = {1002, 1009}


class SessionAttacker(Attacker):
    """The same over one socket of a session."""

    def __init__(self, client: RawClient, codec: SessionCodec, rng: random.Random) -> None:
        super().__init__(client, codec, rng)
        self.hello: dict[str, Any] | None = None
        self.seq = -1
        self.epoch = ""
        self.sent = 0
        self.twice: set[int] = set()
        """Calls that were sent again: their ends may have crossed with that."""

    def expected(self, message: str | bytes) -> tuple[str, int | None]:
        try:
            envelope = self.codec.envelope(message)
        except FrameError:
            return "bad", None
        if envelope.op in KNOWN and envelope.event is UNSET:
            return "control", None
        id: object = envelope.id
        if isinstance(id, str) and envelope.event is UNSET and envelope.op is UNSET:
            # To a call of another node.
            return "answer", None
        kind, call_id = super().expected(message)
        if call_id is not None:
            self.sent = max(self.sent, call_id)
        return kind, call_id

    async def send(self, messages: list[str | bytes]) -> int:
        return await super().send([self._rising(each) for each in messages])

    def _rising(self, message: str | bytes) -> str | bytes:
        """Most often the same call with an id that is new: others have their end already."""
        try:
            envelope = self.codec.envelope(message)
        except FrameError:
            return message
        call = isinstance(envelope.event, str) and isinstance(envelope.id, int)
        if not call or self.sent >= 2**52 or self.rng.random() < 0.2:
            return message
        self.sent += 1
        data = msgspec.Raw(bytes(envelope.data)) if envelope.data else None
        return self.pack({"event": envelope.event, "id": self.sent, "data": data})

    async def begin(self, before: "SessionAttacker | None") -> None:
        """Say `open`; with one `before`, as the same client that returns."""
        frame: dict[str, Any] = {"op": "open"}
        if before is not None and before.hello is not None:
            keys = {key: before.hello[key] for key in ("session", "token")}
            frame["resume"] = {
                **keys,
                "epoch": before.epoch,
                "seq": before.seq,
                "sent": before.sent,
            }
        await self.client.send(self.pack(frame))
        async with asyncio.timeout(20):
            while self.hello is None and self.closed is None:
                self._moved.clear()
                await self._moved.wait()
        if self._failure is not None:
            raise self._failure
        if self.hello is None:
            raise Finding(f"no hello, but {self.closed}")
        if before is None:
            return
        if not self.hello["resumed"] or self.hello["session"] != before.hello["session"]:  # type: ignore[index]
            raise Finding(f"not resumed: {self.hello!r}")
        self.sent = before.sent
        self.open.update(before.open)
        self.twice.update(before.open)
        again = [masked(each) for _, each in sorted(before.open.items())]
        await self.client.send_bytes(b"".join(again))

    def control(self, frame: dict[str, Any]) -> None:
        op = frame["op"]
        if op not in ANSWERS:
            raise Finding(f"an unknown op: {frame!r}")
        self.ends[op] += 1
        if op == "hello":
            if self.hello is not None:
                raise Finding("a second hello")
            self.hello = frame
            self.epoch, self.seq = frame["epoch"], frame["seq"]
        elif op == "gap":
            raise Finding(f"a gap where nothing can be missing: {frame!r}")
        elif op == "ping":
            self.seq = max(self.seq, frame["seq"])

    def ended_twice(self, call_id: int, frame: dict[str, Any]) -> None:
        if call_id not in self.twice:
            super().ended_twice(call_id, frame)

    async def _take(self, frame: dict[str, Any]) -> None:
        if self.hello is None and frame.get("op") != "hello":
            raise Finding(f"said before hello: {frame!r}")
        seq = frame.pop("seq", None) if "event" in frame else None
        if seq is not None:
            if seq <= self.seq:
                raise Finding(f"{seq} came after {self.seq}")
            self.seq = seq
        await super()._take(frame)


def control_frame(rng: random.Random) -> dict[str, Any]:
    """A frame that only gw.v1 knows; right, or nearly."""
    kind = rng.randrange(6)
    if kind == 0:
        return {"op": rng.choice(["ping", "pong"])}
    if kind == 1:
        return {"op": "auth", "auth": value(rng)}
    if kind == 2:
        return {"id": rng.choice(["1.x", "1", "", rng.choice(TEXTS)]), "data": value(rng)}
    if kind == 3:
        return {"op": "cancel", "id": rng.choice(NUMBERS)}
    resume = {
        "session": rng.choice(TEXTS),
        "token": rng.choice(TEXTS),
        "epoch": rng.choice(TEXTS),
        "seq": rng.choice(NUMBERS),
        "sent": rng.choice(NUMBERS),
    }
    if rng.random() < 0.4:
        resume[rng.choice(list(resume))] = value(rng, 1)
    return {"op": "open", "auth": value(rng, 2), "resume": resume}


def messages(mutator: Mutator, count: int) -> list[str | bytes]:
    made: list[str | bytes] = []
    encode = msgspec.msgpack.encode if mutator.binary else msgspec.json.encode
    for _ in range(count):
        if mutator.rng.random() < 0.3:
            data = encode(control_frame(mutator.rng))
            if mutator.rng.random() < 0.5:
                data = mutator._mutated(data)
            each: str | bytes = data if mutator.binary else data.decode("utf-8", "replace")
        else:
            each = message(mutator)
        size = len(each.encode() if isinstance(each, str) else each)
        # One that ends the session would end the attack.
        if size <= MAX_FRAME and not (b"bye" in each if isinstance(each, bytes) else "bye" in each):
            made.append(each)
    return made


async def knock(url: Url, mutator: Mutator, codec: SessionCodec) -> str:
    """A first frame of any kind: it is an `open`, or the socket is closed."""
    client = await RawClient.open(url, "/fuzz", subprotocol=codec.name)
    attacker = SessionAttacker(client, codec, mutator.rng)
    try:
        (first,) = messages(mutator, 1) or [""]
        await client.send(first)
        async with asyncio.timeout(20):
            while attacker.hello is None and attacker.closed is None:
                attacker._moved.clear()
                await attacker._moved.wait()
        if attacker._failure is not None:
            raise attacker._failure
        if attacker.hello is None and attacker.closed not in OPEN_CODES:
            raise Finding(f"closed with {attacker.closed} after {first!r}")
        if attacker.hello is not None and attacker.hello["resumed"]:
            raise Finding(f"resumed by chance: {first!r}")
        return "opened" if attacker.hello is not None else "refused"
    finally:
        await attacker.leave()


async def attack(url: Url, frames: int, mutator: Mutator) -> tuple[int, Counter[str]]:
    """Send so many frames over sessions whose sockets come and go."""
    rng = mutator.rng
    codec: SessionCodec = SessionMsgpackCodec() if mutator.binary else SessionJsonCodec()
    sent, ends = 0, Counter[str]()
    while sent < frames:
        ends["sessions"] += 1
        before: SessionAttacker | None = None
        for _ in range(rng.randrange(1, 5)):
            ends["sockets"] += 1
            client = await RawClient.open(url, "/fuzz", subprotocol=codec.name)
            attacker = SessionAttacker(client, codec, rng)
            try:
                await attacker.begin(before)
                for _ in range(rng.randrange(1, 4)):
                    sent += await attacker.send(messages(mutator, rng.choice(GROUPS)))
                    await attacker.settle()
                if rng.random() < 0.7:
                    # In the middle of everything; what was sent may have come or not.
                    sent += await attacker.send(messages(mutator, 20))
            finally:
                await attacker.leave()
                ends.update(attacker.ends)
            before = attacker
        for _ in range(5):
            ends[await knock(url, mutator, codec)] += 1
    return sent, ends


async def run(frames: int, seed: int) -> tuple[int, Counter[str]]:
    """Attack a server with so many frames; raises `Finding`, or returns what was sent and came."""
    settings = Settings(
        rate=None,
        max_frame=MAX_FRAME,
        call_timeout=0.05,
        accept_rate=None,
        finish_timeout=5,
        grace=1,
        history=100_000,
        replay=100_000,
    )
    realtime = Gatewright(gateways=[Target], settings=settings)
    before = asyncio.all_tasks()
    total, sent = Counter[str](), 0
    async with journal(logging.WARNING) as entries:
        async with serve(realtime, ws="gatewright.server:WebSocketProtocol") as url:
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
    parser = argparse.ArgumentParser(description="Mutated frames of gw.v1 into a running server.")
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
