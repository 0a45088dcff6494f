"""The test tools themselves: a check that cannot fail checks nothing."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Browser
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests._support import needs
from tests._support.leaks import no_task_left
from tests._support.server import launch, serve, spawn

pytestmark = pytest.mark.anyio


async def page(_: Request) -> HTMLResponse:
    return HTMLResponse("<title>here</title><p id=greeting>hello</p>")


async def echo(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


app = Starlette(routes=[Route("/", page), WebSocketRoute("/echo", echo)])


async def test_serve_answers_and_stops() -> None:
    async with serve(app) as url, connect(f"{url.ws}/echo") as socket:
        await socket.send("hi")
        assert await socket.recv() == "hi"
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(f"{url.ws}/echo")


async def test_serve_ends_although_a_client_stays() -> None:
    async with contextlib.AsyncExitStack() as clients:
        async with serve(app) as url:
            socket = await clients.enter_async_context(connect(f"{url.ws}/echo"))
        with pytest.raises(ConnectionClosed):
            await socket.recv()


async def test_serve_tells_of_a_failed_lifespan() -> None:
    async def broken(scope: Scope, _receive: Receive, _send: Send) -> None:
        raise LookupError(scope["type"])

    with pytest.raises(RuntimeError, match="lifespan did not start"):
        async with serve(broken):
            pytest.fail("the block must not run")


async def test_an_error_in_the_block_stops_the_server() -> None:
    with pytest.raises(LookupError):
        async with serve(app):
            raise LookupError


async def test_spawn_runs_another_process() -> None:
    with spawn("tests.test_support:app") as url:
        async with connect(f"{url.ws}/echo") as socket:
            await socket.send("hi")
            assert await socket.recv() == "hi"
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await connect(f"{url.ws}/echo")


def test_launch_tells_what_a_program_printed_before_it_ended() -> None:
    command = [sys.executable, "-c", "print('no luck'); raise SystemExit(3)"]
    with (
        pytest.raises(RuntimeError, match=r"(?s)ended with code 3.*no luck"),
        launch(command),
    ):
        pytest.fail("the block must not run")


def test_launch_kills_what_the_program_started() -> None:
    child = "import time; time.sleep(600)"
    program = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {child!r}])
print(child.pid, "http://127.0.0.1:1")
child.wait()
"""
    with launch([sys.executable, "-c", program]) as launched:
        pid = int(launched.output.split()[0])
        os.kill(pid, 0)
    assert launched.process.returncode == -signal.SIGKILL
    # Its pipe is closed only when nobody holds it any more, and end() waits for that.
    assert launched.output.count("http") == 1


async def test_leaked_tasks_are_named() -> None:
    async def stays() -> None:
        await asyncio.Event().wait()

    checked = no_task_left()
    await checked.__aenter__()
    task = asyncio.create_task(stays(), name="left behind")
    with pytest.raises(pytest.fail.Exception, match=r"left 1 task.*\n  left behind: .*stays"):
        await checked.__aexit__(None, None, None)
    assert task.cancelled()


async def test_ended_tasks_are_no_leak() -> None:
    async with no_task_left():
        task = asyncio.create_task(asyncio.Event().wait())
        task.cancel()
    assert task.cancelled()


def test_a_missing_program_skips_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs, "CI", False)
    with pytest.raises(pytest.skip.Exception, match=r"make system-packages.*'some-package'"):
        needs.need("no-such-program", package="some-package")
    monkeypatch.setattr(needs, "CI", True)
    with pytest.raises(pytest.fail.Exception, match="CI must not skip"):
        needs.need("no-such-program", package="some-package")


def test_a_program_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "found-here"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert needs.need("not-here", "found-here", package="some-package") == str(program)


@pytest.mark.parametrize(
    ("find", "version"),
    [(needs.redis_server, "Redis server v="), (needs.nats_server, "nats-server: v")],
)
def test_servers_are_found_by_those_who_are_not_root(
    find: Callable[[], str], version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    done = subprocess.run([find(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(version)


async def test_the_browser_opens_a_page(browser: Browser) -> None:
    async with serve(app) as url:
        shown = await browser.new_page()
        await shown.goto(url)
        assert await shown.title() == "here"
        assert await shown.text_content("#greeting") == "hello"
        await shown.close()
