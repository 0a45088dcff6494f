"""The proxies' configurations of the pages, with the proxies themselves and real clients."""

import asyncio
import contextlib
import os
import shutil
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatewright import Connection, Emitter, Event, Gatewright, gateway, on
from tests._support.server import Url, serve
from tests.docs.markdown import ROOT, Block, blocks
from tests.interop.python import PATIENCE, socketio

pytestmark = pytest.mark.anyio

PAGE = ROOT / "docs" / "socketio.md"
CADDY_ALONE = "{\n    admin off\n    auto_https off\n}\n"


class Said(Event, event="said"):
    text: str


@gateway("/chat", emits=[Said])
class ChatGateway:
    @on("join")
    async def join(self, connection: Connection, room: str) -> str:
        await connection.join(room)
        return connection.id

    @on("say")
    async def say(self, emitter: Emitter, room: str, text: str) -> None:
        await emitter.to(room).emit(Said(text))


def configuration(language: str) -> Block:
    found = [block for block in blocks(PAGE) if block.language == language]
    assert len(found) == 1
    return found[0]


def program(name: str) -> str:
    # Not a need() that CI insists on: as Debian packages these are services that start at once.
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed; it is looked for on the PATH")
    return found


@pytest.fixture
async def servers() -> AsyncIterator[list[str]]:
    """The addresses of two processes, as a proxy sees them."""
    async with (
        serve(Gatewright(gateways=[ChatGateway])) as first,
        serve(Gatewright(gateways=[ChatGateway])) as second,
    ):
        yield [url.removeprefix("http://") for url in (first, second)]


def replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the page says {old} no longer"
        text = text.replace(old, new)
    return text


@contextlib.asynccontextmanager
async def run(command: list[str], port: int, folder: Path) -> AsyncGenerator[Url]:
    """A proxy, from when it takes connections until the block's end."""
    log = folder / "output"
    homes = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with log.open("w") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env=homes
        )
        try:
            async with asyncio.timeout(PATIENCE):
                while not await is_open(port):
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.02)
            yield Url(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            await process.wait()


async def is_open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def nginx(servers: list[str], folder: Path) -> AsyncGenerator[Url]:
    port = free_port()
    server = replaced(
        configuration("nginx").code,
        {
            "listen 80;": f"listen 127.0.0.1:{port};",
            "127.0.0.1:8001": servers[0],
            "127.0.0.1:8002": servers[1],
        },
    )
    folders = "".join(
        f"    {name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # Its workers would be nobody, who may not enter our folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    file = folder / "nginx.conf"
    file.write_text(
        f"{user}daemon off;\nerror_log stderr;\npid {folder}/pid;\nworker_processes 2;\n"
        f"events {{}}\nhttp {{\n    access_log off;\n{folders}{server}\n}}\n"
    )
    command = [program("nginx"), "-p", str(folder), "-c", str(file)]
    async with run(command, port, folder) as url:
        yield url


@contextlib.asynccontextmanager
async def caddy(servers: list[str], folder: Path) -> AsyncGenerator[Url]:
    port = free_port()
    site = replaced(
        configuration("caddy").code,
        {
            "chat.example": f"http://localhost:{port}",
            "127.0.0.1:8001": servers[0],
            "127.0.0.1:8002": servers[1],
        },
    )
    file = folder / "Caddyfile"
    file.write_text(CADDY_ALONE + site + "\n")
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(file)]
    async with run(command, port, folder) as url:
        # By its name: clients keep no cookies of addresses.
        yield Url(url.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None], ids=str)
@pytest.mark.parametrize("proxy", [nginx, caddy], ids=lambda proxy: proxy.__name__)
async def test_clients_come_through(
    proxy: Any, transports: list[str] | None, servers: list[str], tmp_path: Path
) -> None:
    async with proxy(servers, tmp_path) as url:
        client = socketio.AsyncClient(reconnection=False)
        heard: asyncio.Queue[Any] = asyncio.Queue()
        client.on("said", heard.put, namespace="/chat")
        # As a page of the proxy's own address would.
        headers = {"Origin": str(url)}
        await client.connect(
            url, headers, transports=transports, namespaces=["/chat"], wait_timeout=PATIENCE
        )
        try:
            assert client.transport() == ("polling" if transports == ["polling"] else "websocket")
            await client.call("join", "lobby", namespace="/chat", timeout=PATIENCE)
            # More than a buffer of the proxy, several times, one after another.
            for size in (1, 300_000, 2):
                await client.emit("say", ("lobby", "x" * size), namespace="/chat")
                async with asyncio.timeout(PATIENCE):
                    assert await heard.get() == {"text": "x" * size}
        finally:
            await client.disconnect()
