"""One WebSocket of an ASGI application: every frame gets through when it is told to, or never."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Struct, UnsetType
from starlette.types import ASGIApp, Message

__all__ = ["Closing", "Codec", "Frame", "Socket"]

Codec: TypeAlias = Literal["json", "msgpack"]
Frame: TypeAlias = dict[str, Any]


class Closing(Struct, frozen=True):
    """The server's close frame."""

    code: int
    reason: str


class Socket:
    """What is under way in both directions, and who still believes in it."""

    def __init__(self, app: ASGIApp, path: str, codec: Codec) -> None:
        self.codec: Codec = codec
        self.up: deque[Frame] = deque()
        self.down: deque[Frame | Closing] = deque()
        self.client: bool = True
        """Whether the client has it still."""
        self.server: bool = True
        """Whether the server has not been told that it is lost."""
        self.accepted: bool = False
        self.refused: int | None = None
        self.closing: bool = False
        """Whether the server has said goodbye."""
        self.session: str | None = None
        """Whose it is, as its `hello` says."""
        self.last: int | UnsetType | None = UNSET
        """The highest call that the server had taken when it said `hello`."""
        wire = msgspec.json if codec == "json" else msgspec.msgpack
        self._encode: Callable[[Frame], bytes] = wire.encode
        self._decode: Callable[[Any], Frame] = wire.decode
        self._inbox: asyncio.Queue[Message] = asyncio.Queue()
        self._inbox.put_nowait({"type": "websocket.connect"})
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"lab.example")],
            "client": ("client", 0),
            "server": ("lab.example", 80),
            "subprotocols": [f"gw.v1.{codec}"],
            "extensions": {"websocket.http.response": {}},
            "state": {},
        }
        running = app(scope, self._inbox.get, self._take)
        self.task: asyncio.Task[None] = asyncio.get_running_loop().create_task(running)  # type: ignore[arg-type]

    @property
    def over(self) -> bool:
        """Whether the application has let it go."""
        return self.task.done()

    async def _take(self, message: Message) -> None:
        kind = message["type"]
        if kind == "websocket.accept":
            assert message["subprotocol"] == f"gw.v1.{self.codec}"
            self.accepted = True
        elif kind == "websocket.send":
            assert not self.closing, "a frame behind the goodbye"
            payload: str | bytes = message["text" if self.codec == "json" else "bytes"]
            frame: Frame = self._decode(payload)
            if frame.get("op") == "hello":
                assert self.session is None, "a second hello"
                self.session = frame["session"]
            if self.client:
                self.down.append(frame)
        elif kind == "websocket.close":
            self.closing = True
            if self.client:
                self.down.append(Closing(message.get("code", 1000), message.get("reason") or ""))
        elif kind == "websocket.http.response.start":
            self.refused = message["status"]
        else:
            assert kind == "websocket.http.response.body", kind

    # What the network does

    def deliver_up(self) -> Frame:
        """The server gets the next frame of the client."""
        assert self.server
        frame = self.up.popleft()
        payload = self._encode(frame)
        if self.codec == "json":
            self._inbox.put_nowait({"type": "websocket.receive", "text": payload.decode()})
        else:
            self._inbox.put_nowait({"type": "websocket.receive", "bytes": payload})
        return frame

    def deliver_down(self) -> Frame | Closing:
        """The client gets the next frame of the server; it answers a goodbye by its own."""
        assert self.client
        frame = self.down.popleft()
        if isinstance(frame, Closing):
            self.client = False
            self.tell_server(frame.code)
        return frame

    def lose_client(self) -> None:
        """The client gives it up, or knows that it is lost; the server does not know yet."""
        self.client = False
        self.down.clear()

    def tell_server(self, code: int = 1006) -> None:
        """The server notices that it is lost; what has not got there never will."""
        if self.server:
            self.server = False
            self.up.clear()
            self._inbox.put_nowait({"type": "websocket.disconnect", "code": code})
