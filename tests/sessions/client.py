"""A client of `gw.v1` that does what a test tells it to, frame by frame."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import Any, Literal, Self

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

__all__ = ["Client", "Format", "Frame", "Resume"]

Format = Literal["json", "msgpack"]
Frame = dict[str, Any]
Resume = dict[str, Any]

PATIENCE = 10
"""Seconds that a test waits for a frame that must come."""


class Client:
    """One socket. It keeps what a client has to keep, and answers nothing by itself.

    Frames that are passed over while another one is awaited are in `passed`.
    """

    def __init__(self, socket: ClientConnection, wire: Format) -> None:
        self.socket = socket
        self.wire: Format = wire
        self.hello: Frame = {}
        self.epoch = ""
        self.seq = -1
        self.sent = 0
        self.said: list[str] = []
        """The texts of `said`, in order, each once: what an application would be told."""
        self.passed: list[Frame] = []
        self._ids = count(1)

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        url: str,
        path: str = "/chat",
        *,
        wire: Format = "json",
        compression: str | None = None,
    ) -> AsyncGenerator[Self]:
        """A socket over which nothing has been said."""
        async with connect(
            f"ws{url.removeprefix('http')}{path}",
            subprotocols=[Subprotocol(f"gw.v1.{wire}")],
            compression=compression,
            max_size=None,
            ping_interval=None,
        ) as socket:
            assert socket.subprotocol == f"gw.v1.{wire}"
            yield cls(socket, wire)

    @classmethod
    @asynccontextmanager
    async def opened(
        cls,
        url: str,
        path: str = "/chat",
        *,
        resume: Resume | None = None,
        auth: Any = None,
        **options: Any,
    ) -> AsyncGenerator[Self]:
        """A socket that has its `hello`."""
        async with cls.connect(url, path, **options) as client:
            await client.open(resume, auth)
            yield client

    # Frames

    async def send(self, frame: Any) -> None:
        """A frame; text and bytes go as they are."""
        if isinstance(frame, str | bytes):
            await self.socket.send(frame)
        else:
            await self.socket.send(self.pack(frame))

    def pack(self, frame: Any) -> str | bytes:
        return json.dumps(frame) if self.wire == "json" else msgspec.msgpack.encode(frame)

    async def receive(self) -> Frame:
        """The next frame, whatever it is."""
        async with asyncio.timeout(PATIENCE):
            message = await self.socket.recv()
        assert isinstance(message, str) is (self.wire == "json")
        frame: Frame = (
            json.loads(message) if isinstance(message, str) else msgspec.msgpack.decode(message)
        )
        self._note(frame)
        return frame

    async def until(self, wanted: Callable[[Frame], object]) -> Frame:
        """The next frame that is wanted; those before it are passed over."""
        while not wanted(frame := await self.receive()):
            self.passed.append(frame)
        return frame

    async def op(self, name: str) -> Frame:
        """The next control frame of this name."""
        return await self.until(lambda frame: frame.get("op") == name)

    async def event(self, name: str) -> Frame:
        """The next event of this name."""
        return await self.until(lambda frame: frame.get("event") == name)

    async def end(self, id: int) -> Frame:
        """The next end of a call."""
        return await self.until(
            lambda frame: frame.get("id") == id and "item" not in frame and "event" not in frame
        )

    async def closed(self) -> tuple[int, str]:
        """Read until the server closes: code and reason."""
        with suppress(ConnectionClosed):
            while True:
                self.passed.append(await self.receive())
        code = self.socket.close_code
        assert code is not None
        return code, self.socket.close_reason or ""

    def cut(self) -> None:
        """Drop the socket as a network does."""
        self.socket.transport.abort()

    # What a client does with them

    async def open(self, resume: Resume | None = None, auth: Any = None) -> Frame:
        """Say `open` and wait for `hello`."""
        await self.ask(resume, auth)
        self.hello = hello = await self.receive()
        assert hello.get("op") == "hello", hello
        if resume is not None and hello["resumed"]:
            self.sent = resume["sent"]
            self._ids = count(self.sent + 1)
        self.epoch, self.seq = hello["epoch"], hello["seq"]
        return hello

    async def ask(self, resume: Resume | None = None, auth: Any = None) -> None:
        """Say `open`, and nothing more."""
        frame: Frame = {"op": "open"}
        if auth is not None:
            frame["auth"] = auth
        if resume is not None:
            frame["resume"] = resume
        await self.send(frame)

    @property
    def id(self) -> str:
        id: str = self.hello["session"]
        return id

    @property
    def ticket(self) -> Resume:
        """What asks for this session."""
        return {
            "session": self.id,
            "token": self.hello["token"],
            "epoch": self.epoch,
            "seq": self.seq,
            "sent": self.sent,
        }

    async def start(self, event: str, data: Any = None, *, id: int | None = None) -> int:
        """Begin a call; returns its id."""
        id = next(self._ids) if id is None else id
        self.sent = max(self.sent, id)
        await self.send({"event": event, "data": data, "id": id})
        return id

    async def call(self, event: str, data: Any = None, *, id: int | None = None) -> Any:
        """Call and return the data of the answer; an error fails the test."""
        end = await self.end(await self.start(event, data, id=id))
        assert "error" not in end, end
        return end["data"]

    async def fails(self, event: str, data: Any = None, *, id: int | None = None) -> str:
        """Call, and return the code of the error that it must end with."""
        end = await self.end(await self.start(event, data, id=id))
        assert "data" not in end, end
        code: str = end["error"]["code"]
        return code

    async def hear(self, count: int) -> list[str]:
        """Wait until so many texts were said in all."""
        while len(self.said) < count:
            self.passed.append(await self.receive())
        return self.said

    async def quiet(self) -> list[Frame]:
        """Everything that the server has said up to now, and this client not yet looked at."""
        start = len(self.passed)
        await self.send({"op": "ping"})
        await self.op("pong")
        return self.passed[start:]

    def _note(self, frame: Frame) -> None:
        if frame.get("op") == "gap":
            if frame["epoch"] != self.epoch or frame["seq"] < self.seq:
                self.epoch, self.seq = frame["epoch"], frame["seq"]
        elif frame.get("op") == "ping":
            self.seq = max(self.seq, frame["seq"])
        elif "seq" in frame and "event" in frame:
            assert frame["seq"] > self.seq, f"seq {frame['seq']} after {self.seq}"
            self.seq = frame["seq"]
        if frame.get("event") == "said":
            self.said.append(frame["data"]["text"])
