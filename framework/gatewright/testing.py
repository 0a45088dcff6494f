"""A client for tests: in-process, through the real door, dispatcher and injection.

```python
async with TestClient(app, overrides=[Fakes()]) as client, client.connect("/chat") as ana:
    assert await ana.call("say", Say("lobby", "hi"), reply=int) == 1
    said = await ana.expect(Said)
```
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookies import SimpleCookie
from itertools import count
from typing import Any, Literal, Self, get_origin, overload
from urllib.parse import quote, unquote, urlencode

import msgspec
from injector import Binder, Module
from starlette.types import Message
from typing_extensions import TypeForm, TypeVar

from gatewright.app import Gatewright
from gatewright.declare.events import Event
from gatewright.errors import EventError, GatewrightError
from gatewright.protocol.codecs import EnvelopeCodec, JsonCodec, MsgpackCodec

__all__ = ["Refused", "TestClient", "TestConnection", "Unexpected"]

T = TypeVar("T")
E = TypeVar("E", bound=Event)

_CODECS: Mapping[str, Callable[[], EnvelopeCodec]] = {"json": JsonCodec, "msgpack": MsgpackCodec}


class Refused(GatewrightError):
    """The handshake was refused with an HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}: {text}" if text else f"HTTP {status}")
        self.status = status
        self.text = text


class Unexpected(AssertionError):
    """What was waited for did not come in time; the message lists what did."""


class TestClient:
    """Runs an application for a test, with bindings replaced by `overrides`.

    `timeout` is in seconds, for everything that a connection of this client waits for.
    """

    __test__ = False

    def __init__(
        self,
        app: Gatewright,
        *,
        overrides: Sequence[Module | type[Module] | Callable[[Binder], None]] = (),
        timeout: float = 5.0,
    ) -> None:
        self.app = app
        self._overrides = overrides
        self._timeout = timeout
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.app.run(self._overrides))
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @asynccontextmanager
    async def connect(
        self,
        namespace: str,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        cookies: Mapping[str, str] | None = None,
        codec: Literal["json", "msgpack"] = "json",
        subprotocols: Sequence[str] | None = None,
    ) -> AsyncGenerator["TestConnection"]:
        """Open a connection to a path, as `/lab/7`; raises `Refused`.

        At the end it is closed, and everything that it caused on the server has ended.
        """
        if subprotocols is None:
            subprotocols = () if codec == "json" else (f"plain.{codec}",)
        fields = dict(headers or {})
        if cookies:
            jar = SimpleCookie(dict(cookies))
            fields["cookie"] = "; ".join(f"{m.key}={m.coded_value}" for m in jar.values())
            # As a browser's page would: cookies come with an Origin.
            fields.setdefault("origin", "http://testserver")
        fields.setdefault("host", "testserver")
        scope: dict[str, Any] = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": unquote(namespace),
            "raw_path": quote(namespace, safe="/%").encode(),
            "root_path": "",
            "query_string": urlencode(query or {}).encode(),
            "headers": [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in fields.items()
            ],
            "client": ("testclient", 0),
            "server": ("testserver", 80),
            "subprotocols": list(subprotocols),
            "extensions": {"websocket.http.response": {}},
            "state": {},
        }
        connection = TestConnection(_CODECS[codec](), self._timeout)
        task = asyncio.create_task(
            self.app(scope, connection._to_server.get, connection._take)  # noqa: SLF001
        )
        try:
            await connection._opened(task)  # noqa: SLF001
            yield connection
        finally:
            connection.drop()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error


class TestConnection:
    """One client's connection; every wait has a timeout whose error lists what did arrive."""

    __test__ = False

    def __init__(self, codec: EnvelopeCodec, timeout: float) -> None:
        self._codec = codec
        self._timeout = timeout
        self._ids = count(1)
        self._to_server: asyncio.Queue[Message] = asyncio.Queue()
        self._arrived = asyncio.Event()
        self._frames: list[dict[str, Any]] = []
        self._accepted: bool | None = None
        self._denied = (403, "")
        self.closed: tuple[int, str] | None = None
        """Code and reason, once the server has closed the connection."""
        self.subprotocol: str | None = None
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
        call_id = next(self._ids)
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
        call_id = next(self._ids)
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
        payload = frame if isinstance(frame, str | bytes) else self._codec.encode(frame).payload
        kind = "text" if isinstance(payload, str) else "bytes"
        self._to_server.put_nowait({"type": "websocket.receive", kind: payload})

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
