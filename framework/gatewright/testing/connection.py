"""One connection of a test: what it says, what it hears, what it waits for."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, get_origin, overload

import msgspec
from starlette.types import Message
from typing_extensions import TypeForm, TypeVar

from gatewright.declare.events import Event
from gatewright.errors import EventError, GatewrightError
from gatewright.protocol.codecs import EnvelopeCodec
from gatewright.protocol.sessions.frames import Pong

__all__ = ["Refused", "TestConnection", "Unexpected"]

T = TypeVar("T")
E = TypeVar("E", bound=Event)


class Refused(GatewrightError):
    """The handshake was refused with an HTTP status, or a session's opening with a close code."""

    def __init__(self, status: int, text: str) -> None:
        kind = "HTTP" if status < 1000 else "closed with"
        super().__init__(f"{kind} {status}: {text}" if text else f"{kind} {status}")
        self.status = status
        self.text = text


class Unexpected(AssertionError):
    """What was waited for did not come in time; the message lists what did."""


class TestConnection:
    """One client's connection; every wait has a timeout whose error lists what did arrive."""

    __test__ = False

    def __init__(
        self, codec: EnvelopeCodec, timeout: float, before: "TestConnection | None" = None
    ) -> None:
        """`before` is the connection whose session it goes on with."""
        self._codec = codec
        self._timeout = timeout
        self.last_id: int = 0 if before is None else before.last_id
        """The highest id of a call."""
        self._to_server: asyncio.Queue[Message] = asyncio.Queue()
        self._arrived = asyncio.Event()
        self._frames: list[dict[str, Any]] = []
        self._accepted: bool | None = None
        self._denied = (403, "")
        self.closed: tuple[int, str] | None = None
        """Code and reason, once the server has closed the connection."""
        self.subprotocol: str | None = None
        self.hello: dict[str, Any] = {}
        """What the server has said to the opening of a session; empty for a plain connection."""
        self.position: tuple[str, int] = ("", 0) if before is None else before.position
        """Epoch and number of the last message of its session that it has got."""
        self._to_server.put_nowait({"type": "websocket.connect"})

    # Sending

    async def emit(self, event: str, *data: Any) -> None:
        """Send a message; several arguments travel as an array."""
        await self.send({"event": event, **_data(data)})

    @overload
    async def call(
        self, event: str, *data: Any, reply: TypeForm[T], timeout: float | None = None
    ) -> T: ...
    @overload
    async def call(self, event: str, *data: Any, timeout: float | None = None) -> Any: ...
    async def call(
        self, event: str, *data: Any, reply: Any = Any, timeout: float | None = None
    ) -> Any:
        """Call a handler and return its answer as `reply`; raises the `EventError` it ends with."""
        call_id = self._next_id()
        await self.send({"event": event, **_data(data), "id": call_id})
        frame = await self._wait(
            lambda frame: frame.get("id") == call_id and "event" not in frame,
            f"the answer to {event!r}",
            timeout,
        )
        return _result(frame, reply)

    @overload
    def stream(
        self, event: str, *data: Any, item: TypeForm[T], timeout: float | None = None
    ) -> AsyncGenerator[T]: ...
    @overload
    def stream(
        self, event: str, *data: Any, timeout: float | None = None
    ) -> AsyncGenerator[Any]: ...
    async def stream(
        self, event: str, *data: Any, item: Any = Any, timeout: float | None = None
    ) -> AsyncGenerator[Any]:
        """Call a stream and iterate its items; leaving the loop early cancels it."""
        call_id = self._next_id()
        await self.send({"event": event, **_data(data), "id": call_id})
        ended = False
        try:
            while True:
                frame = await self._wait(
                    lambda frame: frame.get("id") == call_id and "event" not in frame,
                    f"an item of {event!r}",
                    timeout,
                )
                if "item" not in frame:
                    ended = True
                    _result(frame, Any)
                    return
                yield msgspec.convert(frame["item"], item)
        finally:
            if not ended and self.closed is None:
                await self.send({"op": "cancel", "id": call_id})

    async def answer(self, frame: Mapping[str, Any], data: Any = None) -> None:
        """Answer a call that the server made."""
        await self.send({"id": frame["id"], "data": data})

    async def send(self, frame: Any) -> None:
        """Send any frame; a str or bytes goes out as it is."""
        self._say(frame)

    def _say(self, frame: Any) -> None:
        payload = frame if isinstance(frame, str | bytes) else self._codec.encode(frame).payload
        kind = "text" if isinstance(payload, str) else "bytes"
        self._to_server.put_nowait({"type": "websocket.receive", kind: payload})

    def _next_id(self) -> int:
        self.last_id += 1
        return self.last_id

    # Sessions

    @property
    def id(self) -> str:
        """The id of its session, which is the connection's on the server."""
        id: str = self._greeting()["session"]
        return id

    @property
    def resumed(self) -> bool:
        """Whether it goes on with the session that it asked for."""
        return bool(self.hello and self.hello["resumed"])

    @property
    def ticket(self) -> dict[str, Any]:
        """What `resume` shows, as the specification has it."""
        epoch, seq = self.position
        hello = self._greeting()
        own = {"session": hello["session"], "token": hello["token"]}
        return own | {"epoch": epoch, "seq": seq, "sent": self.last_id}

    def _greeting(self) -> dict[str, Any]:
        if not self.hello:
            raise TypeError(
                "expected a connection with a session, got a plain one; "
                'open it by connect("…", session=True)'
            )
        return self.hello

    async def bye(self) -> None:
        """Leave for good: the session ends, and the server closes."""
        await self.send({"op": "bye"})
        await self.wait_closed()

    async def open_session(self, auth: Any, resume: Mapping[str, Any] | None) -> None:
        """Say `open` and wait for `hello`; raises `Refused` with the close code."""
        opening = {"op": "open", "auth": auth}
        await self.send(opening if resume is None else opening | {"resume": resume})
        await self._until(
            lambda: bool(self.hello) or self.closed is not None, "the server's hello", None
        )
        if not self.hello:
            assert self.closed is not None
            raise Refused(*self.closed)

    def _heard(self, frame: dict[str, Any]) -> bool:
        """Take what is the session's own affair, and keep its position."""
        epoch, seq = self.position
        match frame:
            case {"op": "hello"}:
                self.hello = frame
                if not frame["resumed"]:
                    self.position = frame["epoch"], frame["seq"]
                    self.last_id = 0
                return True
            case {"op": "ping", "seq": int(number)}:
                self.position = epoch, max(seq, number)
                self._say(Pong())
                return True
            case {"op": "gap", "epoch": str(other), "seq": int(number)}:
                if other != epoch or number < seq:
                    self.position = other, number
            case {"seq": int(number)}:
                self.position = epoch, max(seq, number)
            case _:
                pass
        return False

    # Receiving

    @overload
    async def expect(self, event: type[E], *, timeout: float | None = None) -> E: ...
    @overload
    async def expect(self, event: str, *, timeout: float | None = None) -> Any: ...
    async def expect(self, event: type[E] | str, *, timeout: float | None = None) -> Any:
        """Wait for an event: by class for an instance of it, by name for its bare data.

        Events that came earlier and were not asked for yet count; others stay for later.
        """
        name = event if isinstance(event, str) else (get_origin(event) or event).__event__
        frame = await self._wait(
            lambda frame: frame.get("event") == name, f"the event {name!r}", timeout
        )
        data = frame.get("data")
        if isinstance(event, str):
            return data
        return msgspec.convert(data, event)

    async def receive(
        self,
        matches: Callable[[dict[str, Any]], bool] | None = None,
        *,
        timeout: float | None = None,
    ) -> dict[str, Any]:
        """Wait for the next frame, or the next one that matches."""
        return await self._wait(matches or (lambda _: True), "a frame", timeout)

    def received(self) -> list[dict[str, Any]]:
        """The frames that nobody has asked for yet."""
        return list(self._frames)

    async def wait_closed(self, *, timeout: float | None = None) -> tuple[int, str]:
        """Wait until the server closes the connection; returns code and reason."""
        await self._until(lambda: self.closed is not None, "the connection's end", timeout)
        assert self.closed is not None
        return self.closed

    def drop(self, code: int = 1006) -> None:
        """Lose the connection, as the client's doing."""
        self._to_server.put_nowait({"type": "websocket.disconnect", "code": code})

    # The other side

    async def _take(self, message: Message) -> None:
        match message["type"]:
            case "websocket.accept":
                self._accepted = True
                self.subprotocol = message.get("subprotocol")
            case "websocket.send":
                payload = message.get("text")
                if payload is None:
                    frame = msgspec.msgpack.decode(message["bytes"])
                else:
                    frame = msgspec.json.decode(payload)
                if not self._heard(frame):
                    self._frames.append(frame)
            case "websocket.close":
                if self._accepted:
                    self.closed = (message.get("code", 1000), message.get("reason") or "")
                    self.drop(self.closed[0])
                else:
                    self._accepted = False
            case "websocket.http.response.start":
                self._denied = (message["status"], "")
            case "websocket.http.response.body":
                self._denied = (self._denied[0], message.get("body", b"").decode())
                self._accepted = False
            case other:
                raise AssertionError(f"expected a message of a WebSocket server, got {other!r}")
        self._arrived.set()

    async def _opened(self, task: "asyncio.Task[None]") -> None:
        task.add_done_callback(lambda _: self._arrived.set())
        await self._until(
            lambda: self._accepted is not None or task.done(), "the handshake's answer", None
        )
        if self._accepted is None:
            await task
        if not self._accepted:
            raise Refused(*self._denied)

    async def _wait(
        self, matches: Callable[[dict[str, Any]], bool], what: str, timeout: float | None
    ) -> dict[str, Any]:
        found: list[int] = []

        def arrived() -> bool:
            found[:] = [i for i, frame in enumerate(self._frames) if matches(frame)][:1]
            return bool(found) or self.closed is not None

        await self._until(arrived, what, timeout)
        if not found:
            assert self.closed is not None
            code, reason = self.closed
            raise Unexpected(
                f"expected {what}, but the connection was closed: {code} {reason}".rstrip()
                + self._listing()
            )
        return self._frames.pop(found[0])

    async def _until(self, condition: Callable[[], bool], what: str, timeout: float | None) -> None:
        limit = self._timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise Unexpected(f"expected {what} within {limit:g} s" + self._listing()) from None

    def _listing(self) -> str:
        if not self._frames:
            return "; nothing else arrived"
        lines = "".join(f"\n  {frame!r:.200}" for frame in self._frames)
        return f"; what did arrive:{lines}"


def _data(data: tuple[Any, ...]) -> dict[str, Any]:
    if not data:
        return {}
    return {"data": data[0] if len(data) == 1 else list(data)}


def _result(frame: Mapping[str, Any], reply: Any) -> Any:
    if "error" in frame:
        error = frame["error"]
        raise EventError(error["code"], error.get("message", ""), error.get("details"))
    return msgspec.convert(frame.get("data"), reply)
