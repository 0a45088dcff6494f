"""Runs programs of a page beside the app that it serves: in Node, in Python, in Chromium."""

import asyncio
import contextlib
import json
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

from playwright.async_api import Route

from gatewright.static import FOLDER
from tests._support.browser import chromium
from tests._support.server import Url
from tests.client_js.building import CLIENT, run
from tests.docs.markdown import Block
from tests.docs.outputs import check_output
from tests.interop.node import JS, install, node

__all__ = ["ADDRESS", "check_types", "run_in_browser", "run_in_node", "run_in_python"]

ADDRESS = "127.0.0.1:8000"
"""The address that pages write; the server's own takes its place."""

SOCKET_IO = JS / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js"
SERVERS = JS.parents[1] / "bridges" / "js"
PATIENCE = 30  # seconds

_CLUSTERS = "socketio-clusters.md"


async def run_in_node(block: Block, output: str, url: Url, folder: Path) -> None:
    """Run a module, which finds the locked packages of tests/interop/js, and our own client.

    On the page about clusters it finds those of tests/bridges/js as well.
    """
    sources = [SERVERS, JS] if block.page.name == _CLUSTERS else [JS]
    for source in sources:
        await asyncio.to_thread(install, source)
    modules = folder / "node_modules"
    if not modules.exists():
        modules.mkdir()
        for package in chain.from_iterable((each / "node_modules").iterdir() for each in sources):
            if not (modules / package.name).exists():
                (modules / package.name).symlink_to(package)
        (modules / "gatewright").symlink_to(FOLDER)
    await _run([node()], "program.mjs", block, output, url, folder)


async def check_types(block: Block, folder: Path) -> None:
    """Let the compiler of framework/client-js look at a program that imports our client."""
    file = folder / "program.ts"
    file.write_text(block.code + "\n", encoding="utf-8")
    settings: dict[str, Any] = {
        "extends": str(CLIENT / "tsconfig.json"),
        "compilerOptions": {
            "module": "ESNext",
            "moduleResolution": "bundler",
            "noUnusedLocals": False,
            "paths": {"gatewright": [str(FOLDER / "gatewright.d.ts")]},
        },
        "include": [str(file)],
    }
    (folder / "tsconfig.json").write_text(json.dumps(settings), encoding="utf-8")
    done = await asyncio.to_thread(run, "node_modules/typescript/bin/tsc", "--project", str(folder))
    assert done.returncode == 0, f"{block} has not the right types:\n{done.stdout}"


async def run_in_python(block: Block, output: str, url: Url, folder: Path) -> None:
    """Run a program of its own: the one of a client, whose server is elsewhere."""
    await _run([sys.executable], "program.py", block, output, url, folder)


async def _run(
    command: list[str], name: str, block: Block, output: str, url: Url, folder: Path
) -> None:
    file = folder / (block.title or name)
    file.write_text(_addressed(block, url) + "\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *command, file, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(PATIENCE):
            said, _ = await process.communicate()
    except TimeoutError:
        raise AssertionError(f"{block} did not end within {PATIENCE} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert process.returncode == 0, f"{block} failed:\n{said.decode()}"
    check_output(output, said.decode(), str(block))


async def run_in_browser(block: Block, output: str, url: Url) -> None:
    """Run a page or a script in Chromium and wait for as many lines as it must log.

    A script runs on a page of the server; a page takes that one's place, and may load
    `/socket.io.min.js`.
    """
    logged: list[str] = []
    enough = asyncio.Event()
    wanted = len(output.strip().splitlines())

    def log(line: str) -> None:
        logged.append(line)
        if len(logged) >= wanted:
            enough.set()

    async def client(route: Route) -> None:
        await asyncio.to_thread(install)
        await route.fulfill(path=SOCKET_IO, content_type="text/javascript")

    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(url)
        # Not what the browser itself remarks: it looks for an icon that none of our apps has.
        page.on("console", lambda message: log(message.text) if message.type == "log" else None)
        page.on("pageerror", lambda error: log(str(error)))
        if block.language == "js":
            kind = "module" if block.code.startswith("import ") else ""
            await page.add_script_tag(content=_addressed(block, url), type=kind)
        else:
            await page.route("**/socket.io.min.js", client)
            # A page that a route made up would be no local one: no local WebSockets for it.
            await page.set_content(_addressed(block, url))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await enough.wait()
    check_output(output, "\n".join(logged), str(block))


def _addressed(block: Block, url: Url) -> str:
    return block.code.replace(ADDRESS, url.removeprefix("http://"))
