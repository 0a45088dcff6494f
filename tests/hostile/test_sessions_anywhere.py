"""A socket of a session that is cut, or cancelled by its server, at every step; and a backplane
that fails at every step: nobody is stranded, nothing is done twice, nothing is left.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest
from injector import Inject, Module
from starlette.types import Message

from gatewright import Gatewright, Settings, connection_scoped, gateway, on, resource
from gatewright.errors import BackplaneError
from gatewright.protocol.close import CloseCode
from tests.sessions.chat import House, Witness, authenticate, chat, until
from tests.sessions.client import Resume
from tests.sessions.deferred import Deferred

pytestmark = pytest.mark.anyio

STEPS = 60  # turns of the loop; more than any of these openings takes


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


class Socket:
    """A WebSocket without a server: the test cuts it, or cancels who serves it, when it likes."""

    def __init__(self, app: Gatewright) -> None:
        self._to_server: asyncio.Queue[Message] = asyncio.Queue()
        self.frames: list[dict[str, Any]] = []
        self.closed: int | None = None
        self.say({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/chat",
            "raw_path": b"/chat",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
            "client": ("testclient", 0),
            "server": ("testserver", 80),
            "subprotocols": ["gw.v1.json"],
            "extensions": {"websocket.http.response": {}},
            "state": {},
        }
        self.task = asyncio.create_task(app(scope, self._to_server.get, self._take))

    async def _take(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            self.frames.append(msgspec.json.decode(message["text"]))
        elif message["type"] == "websocket.close":
            self.closed = message["code"]
            self.lose()

    def say(self, message: Message) -> None:
        self._to_server.put_nowait(message)

    def send(self, frame: Any) -> None:
        self.say({"type": "websocket.receive", "text": msgspec.json.encode(frame).decode()})

    def open(self, resume: Resume | None = None) -> None:
        self.send({"op": "open"} if resume is None else {"op": "open", "resume": resume})

    def lose(self) -> None:
        self.say({"type": "websocket.disconnect", "code": 1006})

    @property
    def hello(self) -> dict[str, Any] | None:
        return next((frame for frame in self.frames if frame.get("op") == "hello"), None)

    async def opened(self) -> dict[str, Any]:
        await until(lambda: self.hello or self.closed)
        assert self.hello is not None, self.closed
        return self.hello

    def said(self) -> list[str]:
        return [frame["data"]["text"] for frame in self.frames if frame.get("event") == "said"]

    def ends(self, id: int) -> list[dict[str, Any]]:
        return [
            f for f in self.frames if f.get("id") == id and not {"op", "item", "event"} & f.keys()
        ]

    async def over(self) -> None:
        await asyncio.wait([self.task])
        if not self.task.cancelled() and (error := self.task.exception()) is not None:
            raise error

    async def end(self, how: str) -> None:
        if how == "cancelled":
            self.task.cancel()
        else:
            self.lose()
        with suppress(asyncio.CancelledError, BackplaneError):
            await self.over()


def ticket(hello: dict[str, Any], *, seq: int | None = None, sent: int = 0) -> Resume:
    keys = ("session", "token", "epoch", "seq")
    asked: Resume = {key: hello[key] for key in keys} | {"sent": sent}
    return asked if seq is None else {**asked, "seq": seq}


@asynccontextmanager
async def running(witness: Witness, backplane: Deferred, **more: Any) -> AsyncGenerator[House]:
    gateway, module = chat(witness)
    options: dict[str, Any] = {"grace": 1.0, "finish_timeout": 0.5} | more
    settings = Settings(**options)
    app = Gatewright(
        gateways=[gateway],
        modules=[module],
        authenticate=authenticate,
        backplane=backplane,
        settings=settings,
    )
    async with app.run():
        yield House(app, "", witness)  # type: ignore[arg-type]


async def leave(socket: Socket) -> None:
    socket.send({"op": "bye"})
    await socket.over()


@pytest.mark.parametrize("how", ["cancelled", "lost"])
async def test_at_every_step_of_an_opening(how: str) -> None:
    witness, greeted = Witness(), 0
    async with running(witness, Deferred()) as house:
        for step in range(STEPS):
            socket = Socket(house.app)
            socket.open()
            await turns(step)
            greeted += socket.hello is not None
            await socket.end(how)
        assert 0 < greeted < STEPS
        await house.empty()
        # Whom the hooks have let in has its end, now or after the grace, and once.
        assert witness.seen.count("end") == witness.seen.count("disconnect")
        assert witness.seen.count("end") <= STEPS


@pytest.mark.parametrize("former", ["away", "there", "busy"])
@pytest.mark.parametrize("how", ["cancelled", "lost"])
async def test_at_every_step_of_a_return(how: str, former: str) -> None:
    witness, greeted = Witness(), 0
    async with running(witness, Deferred(), grace=20.0, finish_timeout=0.1) as house:
        for step in range(STEPS):
            first = Socket(house.app)
            first.open()
            hello = await first.opened()
            if former == "busy":
                first.send({"event": "slow", "data": str(step), "id": 1})
                await until(lambda step=step: str(step) in witness.done)
            if former == "away":
                first.lose()
                await first.over()
            await house.say("lobby", str(step))
            asked = ticket(hello, sent=1 if former == "busy" else 0)
            second = Socket(house.app)
            second.open(asked)
            await turns(step)
            greeted += second.hello is not None
            await second.end(how)
            # Whatever has become of that one, its client has a token that is good.
            third = Socket(house.app)
            got = second.hello
            third.open(asked if got is None else ticket(got, seq=asked["seq"], sent=asked["sent"]))
            again = await third.opened()
            assert again["resumed"], step
            assert again["session"] == hello["session"]
            await until(
                lambda third=third: [f for f in third.frames if "seq" in f and "event" in f]
            )
            said = [f["data"]["text"] for f in third.frames if f.get("event") == "said"]
            assert said == [str(step)], step
            if former == "busy":
                third.send({"event": "slow", "data": str(step), "id": 1})
                witness.gate.set()
                await until(lambda third=third: third.ends(1))
                assert third.ends(1)[-1]["data"] == f"did {step}"
                witness.gate.clear()
            await leave(third)
            await first.end("lost")
        assert 0 < greeted < STEPS
        await house.empty()
        assert witness.seen.count("connect") == witness.seen.count("end") == STEPS
        if former == "busy":
            assert witness.done == [str(step) for step in range(STEPS)]
            assert witness.seen.count("open thing") == witness.seen.count("close thing") == STEPS


@pytest.mark.parametrize("how", ["cancelled", "lost"])
async def test_at_every_step_of_a_call(how: str) -> None:
    witness = Witness()
    async with running(witness, Deferred(), grace=20.0) as house:
        for step in range(STEPS):
            first = Socket(house.app)
            first.open()
            hello = await first.opened()
            frames = [
                {"event": "join", "data": f"room {step}", "id": 1},
                {"event": "work", "data": step, "id": 2},
                {"event": "say", "data": [f"room {step}", "hello"], "id": 3},
                {"event": "count", "data": 2, "id": 4},
            ]
            for frame in frames:
                first.send(frame)
            await turns(step)
            await first.end(how)
            second = Socket(house.app)
            second.open(ticket(hello, sent=4))
            assert (await second.opened())["resumed"]
            for frame in frames:
                second.send(frame)
            await until(lambda second=second: second.ends(4))
            assert second.ends(1)[-1]["data"] is None
            assert second.ends(2)[-1]["data"] == step
            assert isinstance(second.ends(3)[-1]["data"], int)
            await until(second.said)
            assert second.said() == ["hello"]
            await leave(second)
        await house.empty()
        assert witness.done == list(range(STEPS))


class Failing(Deferred):
    """Fails once, at an operation that has been carried out: who asked for it cannot know."""

    def __init__(self) -> None:
        super().__init__()
        self.fails_in = -1
        self.fails_at = ""

    async def _later(self, name: str, result: Any) -> Any:
        self.fails_in -= 1
        if self.fails_in == 0 or name == self.fails_at:
            self.fails_at = ""
            raise BackplaneError("on purpose")
        return await super()._later(name, result)

    @property
    def kept(self) -> int:
        """Namespaces that somebody is in, or may return to."""
        return len(self._memory._sequences._live)


async def test_at_every_failure_of_a_backplane() -> None:
    backplane = Failing()
    async with running(Witness(), backplane, grace=0.3, open_timeout=2.0) as house:
        for number in range(1, 15):
            backplane.fails_in = number
            asked: Resume | None = None
            for _ in range(4):
                socket = Socket(house.app)
                socket.open(asked)
                await until(lambda socket=socket: socket.hello or socket.closed)
                if socket.hello is not None:
                    socket.send({"event": "join", "data": "attic", "id": 1})
                    asked = ticket(socket.hello, sent=1)
                    await turns(20)
                await socket.end("lost")
            backplane.fails_in = -1
        socket = Socket(house.app)
        socket.open()
        await socket.opened()
        await leave(socket)
        await house.empty()
        await until(lambda: not backplane.kept)


async def test_a_confirmation_that_fails_keeps_nobody_for_ever() -> None:
    backplane = Failing()
    async with running(Witness(), backplane, grace=0.3, ping_interval=0.02) as house:
        socket = Socket(house.app)
        socket.open()
        await socket.opened()
        await house.say("lobby", "one")
        await until(lambda: {"op": "ping", "seq": 1} in socket.frames)
        for _ in range(20):
            pings = sum(frame.get("op") == "ping" for frame in socket.frames)
            socket.send({"op": "pong"})
            await until(
                lambda pings=pings: sum(f.get("op") == "ping" for f in socket.frames) > pings
            )
        backplane.fails_at = "confirm"
        await socket.end("lost")
        assert backplane.fails_at == ""
        await house.empty()
        await until(lambda: not backplane.kept)


async def test_an_opening_that_fails_twice_is_told_once() -> None:
    """The backplane, and then the resource that a guard has opened."""

    class Lamp:
        pass

    class Lamps(Module):
        @connection_scoped
        @resource
        async def lamp(self) -> AsyncIterator[Lamp]:
            try:
                yield Lamp()
            finally:
                raise LookupError("of the resource")

    async def guard(lamp: Inject[Lamp]) -> None: ...

    @gateway("/chat", guards=[guard])
    class Chat:
        @on("nothing")
        async def nothing(self) -> None: ...

    backplane = Failing()
    app = Gatewright(gateways=[Chat], modules=[Lamps()], backplane=backplane)
    async with app.run():
        backplane.fails_at = "open"
        socket = Socket(app)
        socket.open()
        await socket.over()
        assert socket.closed == CloseCode.BEHIND
        assert socket.frames == []
