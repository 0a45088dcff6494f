# ruff: noqa: T201 — it reports to whoever runs it
"""Sessions whose clients come, vanish and return, several times, and at last do not.

    python -m tests.chaos.sessions --clients 500 --rounds 20

Exits with 1 when a message is missed, a call has no end, anything is left after the grace, when the
server logs an error, or when memory grows from the fifth round to the last.
"""

import argparse
import asyncio
import gc
import logging
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from gatewright import Connection, Event, Gatewright, Settings, gateway, on, on_end
from tests._support.raw import CLOSE, RawClient
from tests._support.remains import journal, nothing_remains
from tests._support.server import Url, serve
from tests.chaos.churn import Round, Short, check, rss

__all__ = ["main", "run"]


class Ask(Event, event="ask"):
    pass


class Said(Event, event="said"):
    number: int


@gateway("/crowd/{block}", emits=[Ask, Said])
class Crowd:
    def __init__(self) -> None:
        self.worked: list[str] = []
        self.under_way = 0
        self.ended = 0
        self.gate = asyncio.Event()

    @on("join")
    async def join(self, connection: Connection, rooms: list[str]) -> int:
        await connection.join(*rooms)
        return len(connection.rooms)

    @on("work")
    async def work(self, connection: Connection, name: str) -> str:
        """Is under way while its client vanishes and returns; executed once."""
        self.worked.append(name)
        self.under_way += 1
        try:
            await self.gate.wait()
        finally:
            self.under_way -= 1
        return name

    @on("ask me")
    async def ask_me(self, connection: Connection) -> int:
        return await connection.call(Ask(), int, timeout=3600)

    @on("stream")
    async def stream(self) -> AsyncIterator[str]:
        yield "one"
        await asyncio.Event().wait()

    @on_end
    async def over(self) -> None:
        self.ended += 1


class Visitor:
    """One client, over as many sockets as it takes."""

    def __init__(self, url: Url, number: int, rng: random.Random) -> None:
        self.url = url
        self.path = f"/crowd/{number % 5}"
        self.name = f"visitor {number}"
        self.rng = rng
        self.heard: list[int] = []
        self.answers: dict[int, Any] = {}
        self._socket: RawClient | None = None
        self._hello: dict[str, Any] = {}
        self._seq = 0
        self._sent = 0

    async def come(self) -> None:
        """Open a session, or return to it, and say again what has no answer."""
        resume = None
        if self._hello:
            keys = ("session", "token", "epoch")
            resume = {key: self._hello[key] for key in keys}
            resume |= {"seq": self._seq, "sent": self._sent}
        former = self._hello.get("session")
        self._socket = await RawClient.open(self.url, self.path, subprotocol="gw.v1.json")
        await self._say({"op": "open"} if resume is None else {"op": "open", "resume": resume})
        self._hello = await self._next()
        if self._hello.get("op") != "hello" or self._hello["resumed"] is not (resume is not None):
            raise Short(f"{self.name}: expected to be let in, got {self._hello!r}")
        if former is None:
            self._seq = self._hello["seq"]
            await self.call(1, "join", ["everyone", f"own {self.name}"])
            await self.until(lambda: 1 in self.answers)
            await self.call(2, "work", self.name)
            await self.call(3, "ask me", [])
            await self.call(4, "stream", [])
        elif former != self._hello["session"]:
            raise Short(f"{self.name}: another session")
        else:
            for id, event, data in ((2, "work", self.name), (3, "ask me", [])):
                if id not in self.answers:
                    await self.call(id, event, data)

    async def call(self, id: int, event: str, data: Any) -> None:
        self._sent = max(self._sent, id)
        await self._say({"event": event, "data": data, "id": id})

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await self.read()

    async def read(self) -> None:
        frame = await self._next()
        if frame.get("op") == "gap":
            raise Short(f"{self.name}: a gap: {frame!r}")
        if frame.get("op") == "ping":
            self._seq = max(self._seq, frame["seq"])
            await self._say({"op": "pong"})
        elif frame.get("event") == "said":
            if frame["seq"] <= self._seq:
                raise Short(f"{self.name}: {frame!r} after {self._seq}")
            self._seq = frame["seq"]
            self.heard.append(frame["data"]["number"])
        elif frame.get("event") == "ask":
            await self._say({"id": frame["id"], "data": 7})
        elif "op" not in frame and "item" not in frame:
            self.answers[frame["id"]] = frame.get("data", frame.get("error"))

    def vanish(self) -> None:
        """As a crashed peer, or as one that merely closes; sometimes nobody notices for a while."""
        assert self._socket is not None
        if self.rng.random() < 0.8:
            self._socket.reset()
        else:
            self._socket.close()

    async def _say(self, frame: Any) -> None:
        assert self._socket is not None
        await self._socket.send(msgspec.json.encode(frame).decode())

    async def _next(self) -> dict[str, Any]:
        assert self._socket is not None
        opcode, payload = await self._socket.receive()
        if opcode == CLOSE:
            raise Short(f"{self.name}: closed with {int.from_bytes(payload[:2], 'big')}")
        frame: dict[str, Any] = msgspec.json.decode(payload)
        return frame


async def run(clients: int, rounds: int, *, ws: str, seed: int = 1) -> list[Round]:
    """Go through it, and return each round's figures; raises `Short`."""
    settings = Settings(
        finish_timeout=0.3,
        # All the others come and vanish before one returns.
        grace=2 + clients / 25,
        max_away=10 * clients,
        ping_interval=2,
        ping_timeout=5,
    )
    realtime = Gatewright(gateways=[Crowd], settings=settings)
    done: list[Round] = []
    before = asyncio.all_tasks()
    async with journal(logging.ERROR) as entries, serve(realtime, ws=ws, backlog=2048) as url:
        crowd = _gateway(realtime)
        tasks = asyncio.all_tasks()
        for number in range(rounds):
            start = time.perf_counter()
            await _round(realtime, crowd, url, clients, random.Random(f"{seed}/{number}"))
            if kept := await nothing_remains(realtime, tasks):
                raise Short(f"after round {number + 1} there is left: {kept}")
            if crowd.ended != clients * (number + 1) or crowd.under_way:
                raise Short(
                    f"after round {number + 1} {clients * (number + 1)} sessions should have "
                    f"ended, but {crowd.ended} did, and {crowd.under_way} handlers still run"
                )
            done.append(Round(time.perf_counter() - start, rss(), len(gc.get_objects())))
    if entries:
        raise Short(f"{len(entries)} errors were logged, the first: {entries[0]}")
    if left := asyncio.all_tasks() - before:
        raise Short(f"{len(left)} tasks are left: {list(left)[:3]!r}")
    return done


async def _round(
    realtime: Gatewright, crowd: Crowd, url: Url, clients: int, rng: random.Random
) -> None:
    crowd.worked.clear()
    crowd.gate.clear()
    visitors = [Visitor(url, number, rng) for number in range(clients)]
    at_once = asyncio.Semaphore(50)
    said = 0

    async def stay(visitor: Visitor) -> None:
        async with at_once:
            await visitor.come()
            for _ in range(rng.randrange(3)):
                await visitor.read()
            visitor.vanish()

    for _ in range(rng.randrange(2, 5)):
        async with asyncio.TaskGroup() as group:
            for visitor in visitors:
                group.create_task(stay(visitor))
            for _ in range(3):
                said += 1
                await _say(realtime, said)
                await asyncio.sleep(0)
    first = {visitor.name: visitor for visitor in visitors}
    crowd.gate.set()

    async def stay_on(visitor: Visitor) -> None:
        async with at_once:
            await visitor.come()
            await visitor.until(lambda: {2, 3} <= visitor.answers.keys())
            # Whatever was said since it came in it has heard, in order and once.
            await visitor.until(lambda: visitor.heard[-1:] == [said])
            if visitor.answers[2] != visitor.name or visitor.answers[3] != 7:
                raise Short(f"{visitor.name}: answered {visitor.answers!r}")
            if visitor.heard != list(range(visitor.heard[0], said + 1)):
                raise Short(f"{visitor.name}: heard {visitor.heard!r} of {said}")
            visitor.vanish()

    async with asyncio.TaskGroup() as group:
        for visitor in visitors:
            group.create_task(stay_on(visitor))
    if sorted(crowd.worked) != sorted(first):
        raise Short(f"{len(crowd.worked)} calls were executed, {len(first)} were made")


async def _say(realtime: Gatewright, number: int) -> None:
    for block in range(5):
        emitter = realtime.emitter.of("/crowd/{block}", block=block)
        await emitter.to("everyone").emit(Said(number))


def _gateway(realtime: Gatewright) -> Crowd:
    dispatcher = realtime._dispatcher
    assert dispatcher is not None
    (plan,) = dispatcher._namespaces.values()
    (found,) = plan.gateways
    assert isinstance(found.instance, Crowd)
    return found.instance


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Sessions that vanish and return.")
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ws", default="gatewright.server:WebSocketProtocol")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        done = asyncio.run(run(options.clients, options.rounds, ws=options.ws, seed=options.seed))
        verdict = check(done)
    except (Short, ExceptionGroup) as short:
        first = short.exceptions[0] if isinstance(short, ExceptionGroup) else short
        print(f"seed {options.seed}: {first!r}", file=sys.stderr)
        return 1
    seconds = time.perf_counter() - start
    print(f"{options.clients} clients in {len(done)} rounds and {seconds:.0f} s: nothing is left")
    for number, each in enumerate(done, 1):
        print(f"  round {number}: {each.seconds:.1f} s, {each.rss / 2**20:.1f} MiB")
    print(verdict)
    return 0


if __name__ == "__main__":
    sys.exit(main())
