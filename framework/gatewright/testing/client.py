"""Runs an application for a test, and opens connections to it."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from http.cookies import SimpleCookie
from typing import Any, Literal, Self
from urllib.parse import quote, unquote, urlencode

from injector import Binder, Module

from gatewright.app import Gatewright
from gatewright.protocol.codecs import EnvelopeCodec, JsonCodec, MsgpackCodec
from gatewright.testing.connection import TestConnection

__all__ = ["TestClient"]

_CODECS: Mapping[str, Callable[[], EnvelopeCodec]] = {"json": JsonCodec, "msgpack": MsgpackCodec}


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
        session: bool = False,
        auth: Any = None,
        resume: TestConnection | None = None,
    ) -> AsyncGenerator[TestConnection]:
        """Open a connection to a path, as `/lab/7`; raises `Refused`.

        With `session` it has one, and `auth` is what `authenticate` finds in `handshake.auth`. At
        the end it is dropped, and everything that it caused on the server has ended, but not its
        session: `resume=` takes the connection that was lost, and goes on with it.
        """
        session = session or resume is not None
        if subprotocols is None and session:
            subprotocols = (f"gw.v1.{codec}",)
        elif subprotocols is None:
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
        connection = TestConnection(_CODECS[codec](), self._timeout, resume)
        task = asyncio.create_task(
            self.app(scope, connection._to_server.get, connection._take)  # noqa: SLF001
        )
        try:
            await connection._opened(task)  # noqa: SLF001
            if session:
                await connection.open_session(auth, resume.ticket if resume is not None else None)
            yield connection
        finally:
            connection.drop()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
