"""Pages that run the client, and a server that can be killed."""

import contextlib
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from playwright.async_api import Browser, Page
from typing_extensions import Protocol

from tests._support.server import Url, launch

PATIENCE = 15_000  # milliseconds


class Server:
    """`tests.client_js.server` in a process of its own, always at the same address."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()
        self.url = Url()

    def start(self) -> None:
        port = self.url.rpartition(":")[2] or "0"
        target = "tests.client_js.server:app"
        command = [sys.executable, "-m", "uvicorn", target, "--host", "127.0.0.1", "--port", port]
        self.url = self._running.enter_context(launch(command)).url

    def kill(self) -> None:
        """End it without a chance to say goodbye."""
        self._running.close()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.start()
    yield running
    running.kill()


class Visitor:
    """One page with one client, `chat`, and what has happened to it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    async def connect(self, path: str, **options: Any) -> None:
        await self.page.evaluate("([path, options]) => open_chat(path, options)", [path, options])
        await self.page.evaluate("chat.ready()")

    async def call(self, event: str, data: Any = None) -> Any:
        return await self.page.evaluate("([e, d]) => chat.call(e, d)", [event, data])

    async def until(self, condition: str) -> None:
        """Wait for a condition in the page."""
        await self.page.wait_for_function(condition)

    async def log(self) -> list[dict[str, Any]]:
        """Every change of the status since the page was opened, with the time that it had."""
        found: list[dict[str, Any]] = await self.page.evaluate("log")
        return found


class Visit(Protocol):
    def __call__(self, server: Server) -> AbstractAsyncContextManager[Visitor]: ...


@pytest.fixture
def visit(browser: Browser) -> Visit:
    """Open the server's page in a context of its own; errors of its scripts fail the test."""

    @contextlib.asynccontextmanager
    async def open_page(server: Server) -> AsyncGenerator[Visitor]:
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE)
        errors: list[str] = []
        try:
            page = await context.new_page()
            page.on("pageerror", lambda error: errors.append(str(error)))
            await page.goto(f"{server.url}/page")
            await page.wait_for_function("'open_chat' in window")
            yield Visitor(page)
        finally:
            await context.close()
        assert errors == []

    return open_page
