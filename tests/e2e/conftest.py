"""Servers that can be killed and started again, and people with browsers of their own."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests._support.server import Launched, Url, launch

WAIT = 15_000  # milliseconds: for what should come at once, on a machine that is busy


class SampleApp:
    """The sample application in a process of its own, always at the same address."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self._running = contextlib.ExitStack()
        self.url = Url()

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        command = [sys.executable, "-m", "sample_app", "--port", port]
        launched: Launched = self._running.enter_context(
            launch([*command, "--database", str(self.database)])
        )
        self.url = launched.url

    def forget_sessions(self) -> None:
        """Remove what a next start would know of those who are here; not while it runs."""
        for file in self.database.parent.glob("*.sessions.db*"):
            file.unlink()

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        self._running.close()


@pytest.fixture
def sample_app(tmp_path: Path) -> Iterator[SampleApp]:
    app = SampleApp(tmp_path / "miaou.db")
    app.start()
    yield app
    app.kill()


class Tunnel:
    """A way to a server on which one can get stuck: open to both sides, and nothing passes."""

    def __init__(self, server: Url) -> None:
        self._port = int(server.rpartition(":")[2])
        self._passable = asyncio.Event()
        self._passable.set()
        self._pipes: set[asyncio.Task[None]] = set()

    def block(self) -> None:
        self._passable.clear()

    def clear(self) -> None:
        """Let new connections through; what was stuck stays lost."""
        self.cut()
        self._passable.set()

    def cut(self) -> None:
        """End what is open now, for both sides to see."""
        for pipe in self._pipes:
            pipe.cancel()

    @contextlib.asynccontextmanager
    async def dig(self) -> AsyncGenerator[Url, None]:
        listener = await asyncio.start_server(self._enter, "127.0.0.1", 0)
        try:
            yield Url(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        finally:
            listener.close()
            for pipe in self._pipes:
                pipe.cancel()
            await asyncio.gather(*self._pipes, return_exceptions=True)

    def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pipe = asyncio.create_task(self._pass(reader, writer))
        self._pipes.add(pipe)
        pipe.add_done_callback(self._pipes.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        beyond, towards = await asyncio.open_connection("127.0.0.1", self._port)
        with contextlib.closing(writer), contextlib.closing(towards):
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, towards))
                both.create_task(self._copy(beyond, writer))

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                await self._passable.wait()
                sink.write(data)
                await sink.drain()
        sink.close()


Visit = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def visit(browser: Browser) -> Visit:
    """Open a page as a new person: with cookies and a storage of their own.

    `options` go to `browser.new_context`. Errors of the page's scripts fail the test.
    """

    @contextlib.asynccontextmanager
    async def open_page(url: str, **options: Any) -> AsyncGenerator[Page, None]:
        context = await browser.new_context(locale="en-GB", **options)
        context.set_default_timeout(WAIT)
        errors: list[str] = []
        try:
            page = await context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(url)
            yield page
        finally:
            await context.close()
        assert errors == []

    return open_page
