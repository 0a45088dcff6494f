"""`gatewright run` with one process: as uvicorn by hand, with what is right for gateways."""

import asyncio
import signal
import socket
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from gatewright.backplane.urls import BACKPLANE
from gatewright.cli.loading import APP
from tests._support.server import ROOT
from tests.behaviours.wire import opened
from tests.cli.programs import COMMAND, run, serving
from tests.drain.programs import ENDS, GOODBYE

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
async def test_it_serves_until_a_signal_and_sends_everybody_away(number: signal.Signals) -> None:
    async with serving("inside") as server:
        assert (await server.ask("/ready")).status == 200
        # Our class of uvicorn: it does not compress, whoever asks for it.
        async with opened(f"{server.url.ws}/chat", compression="deflate") as plain:
            assert not plain.socket.protocol.extensions
            assert await plain.call("echo", "hi") == "hi"
            server.signal(number)
            assert await plain.closed() == GOODBYE
        assert await server.ended() == ENDS[number]
        server.in_order("left 1012", "Shutting down", "Finished server process")
        server.untroubled()


async def test_options_are_those_of_uvicorn_and_win_over_our_defaults() -> None:
    env = {"UVICORN_ROOT_PATH": "/below"}
    options = ("--ws", "websockets-sansio", "--ws-max-size", "10", "--header", "X-Served: here")
    async with serving("inside", *options, env=env) as server:
        assert (await server.ask("/ready")).headers["x-served"] == "here"
        async with opened(f"{server.url.ws}/chat", compression="deflate") as plain:
            assert plain.socket.protocol.extensions
            await plain.send("x" * 11)
            assert (await plain.closed())[0] == 1009


async def test_a_socket_of_the_system_instead_of_a_port(tmp_path: Path) -> None:
    path = tmp_path / "chat.sock"
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "run", "tests.cli.app:inside", "--uds", path, cwd=ROOT, stderr=PIPE
    )
    try:
        assert process.stderr is not None
        while b"running on unix socket" not in (line := await process.stderr.readline()):
            assert line, "it has ended"
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET /ready HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()
        process.send_signal(signal.SIGINT)
        await process.stderr.read()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert not path.exists()


async def test_a_reload_sends_everybody_away_and_waits_for_code_that_works(tmp_path: Path) -> None:
    file = tmp_path / "watched.py"
    file.write_text("from tests.cli.app import app\n")
    options = ("--app-dir", str(tmp_path), "--reload", "--reload-dir", str(tmp_path))
    # More workers of the environment than a reload can have are none of its business.
    env = {"WEB_CONCURRENCY": "2"}
    async with serving("watched:app", *options, env=env) as server:
        await server.says("Application startup complete")
        async with opened(f"{server.url.ws}/chat") as plain:
            file.write_text("app = 1\n")
            assert await plain.closed() == GOODBYE
        await server.says("watched:app: expected an ASGI application")
        file.write_text("from tests.cli.app import app  # mended\n")
        await server.says("Application startup complete", 2)
        async with opened(f"{server.url.ws}/chat") as plain:
            assert await plain.call("echo", "again") == "again"
            server.signal()
            assert await plain.closed() == GOODBYE
        assert await server.ended() == 0


async def test_what_to_serve_and_with_which_backplane_may_stand_in_the_environment(
    tmp_path: Path,
) -> None:
    file = tmp_path / "chat.db"
    env = {APP: "tests.cli.app:make", BACKPLANE: f"sqlite:///{file}"}
    async with serving(None, env=env) as server:
        async with opened(f"{server.url.ws}/chat") as plain:
            assert await plain.call("echo", "hi") == "hi"
        assert file.exists()


async def test_the_option_wins_over_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "chat.db"
    env = {BACKPLANE: "sqlite:////nowhere/at/all.db"}
    async with serving("app", "--backplane", f"sqlite:///{file}", env=env):
        assert file.exists()


def test_a_port_that_is_taken_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for workers in ("1", "2"):
            options = ("--port", str(taken.getsockname()[1]), "--workers", workers)
            ended = run("run", "tests.cli.app:app", *options)
            assert ended.code == 3
            assert "address already in use" in ended.errors.lower()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["tests.cli.app:no"], 3, "expected 'no' in the module 'tests.cli.app'"),
        (["tests.cli.app:make", "--port", "65536"], 2, "0<=x<=65535"),
        (["tests.cli.app:broken"], 3, "RuntimeError: the database is not there"),
        (["tests.cli.app:app", "--backplane", "chat.db"], 2, "expected the URL of a backplane"),
        (["tests.cli.app:app", "--workers", "0"], 2, "--workers"),
        (["tests.cli.app:app", "--workers", "2", "--reload"], 2, "--reload is for one worker"),
        ([], 2, "Missing argument 'APP'"),
    ],
)
def test_what_cannot_be_served_is_said_and_is_a_failure(
    arguments: list[str], code: int, message: str
) -> None:
    ended = run("run", *arguments)
    assert (ended.code, message in ended.errors) == (code, True), ended
