"""Tabs of a Chromium that may be hidden, and then frozen.

Pages of Playwright never are: it has each of them believe that it is the one in front.
"""

import asyncio
import contextlib
import itertools
import json
import re
import tempfile
from collections.abc import AsyncGenerator
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests._support.browser import ARGUMENTS
from tests._support.needs import need

__all__ = ["Devtools", "Tab", "devtools"]

PATIENCE = 15  # seconds


class Devtools:
    """A conversation with one browser."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def read(self) -> None:
        async for message in self._socket:
            said = json.loads(message)
            if "id" in said:
                self._answers.pop(said["id"]).set_result(said)

    async def ask(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        frame: dict[str, Any] = {"id": number, "method": method, "params": params}
        if session is not None:
            frame["sessionId"] = session
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self._socket.send(json.dumps(frame))
        async with asyncio.timeout(PATIENCE):
            said = await answer
        assert "error" not in said, f"{method}: {said['error']}"
        result: dict[str, Any] = said["result"]
        return result

    async def open(self, url: str) -> "Tab":
        """Open a tab in front of the others, which are hidden from then on."""
        target = (await self.ask("Target.createTarget", url=url))["targetId"]
        attached = await self.ask("Target.attachToTarget", targetId=target, flatten=True)
        tab = Tab(self, target, attached["sessionId"])
        await tab.show()
        return tab


class Tab:
    """One page."""

    def __init__(self, browser: Devtools, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    async def show(self) -> None:
        await self._browser.ask("Target.activateTarget", targetId=self._target)

    async def freeze(self) -> None:
        """As the browser does with tabs that nobody has looked at for a while."""
        await self.until("document.visibilityState === 'hidden'")
        await self._state("frozen")

    async def thaw(self) -> None:
        await self._state("active")

    async def _state(self, state: str) -> None:
        await self._browser.ask("Page.setWebLifecycleState", self._session, state=state)

    async def evaluate(self, code: str) -> Any:
        """The value of an expression, awaited if it is a promise; frozen pages answer, too."""
        answer = await self._browser.ask(
            "Runtime.evaluate",
            self._session,
            expression=code,
            awaitPromise=True,
            returnByValue=True,
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while not await self.evaluate(condition):
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def devtools() -> AsyncGenerator[Devtools]:
    """A browser without pages; killed when the block ends."""
    executable = need("chromium", "chromium-browser", "google-chrome", package="chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            executable,
            *ARGUMENTS,
            "--headless",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None
        try:
            async with asyncio.timeout(PATIENCE):
                address = await _address(process.stderr)
            async with connect(address) as socket:
                browser = Devtools(socket)
                reading = asyncio.create_task(browser.read())
                try:
                    yield browser
                finally:
                    reading.cancel()
                    await asyncio.wait({reading})
        finally:
            process.kill()
            await process.wait()


async def _address(output: asyncio.StreamReader) -> str:
    while line := (await output.readline()).decode():
        if found := re.search(r"ws://\S+", line):
            return found[0]
    raise AssertionError("the browser ended before it had said where its tools are")
