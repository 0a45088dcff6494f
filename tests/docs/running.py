"""Runs one page, block by block."""

import ast
import asyncio
import contextlib
import inspect
import io
import sys
import traceback
import types
from collections.abc import AsyncGenerator, Callable, Generator
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from tests._support.redises import redis_server
from tests._support.server import Url, serve
from tests.docs.commands import FAILS, LAYOUT, check_commands
from tests.docs.conversations import replay
from tests.docs.markdown import Block
from tests.docs.outputs import check_output
from tests.docs.programs import ADDRESS, check_types, run_in_browser, run_in_node, run_in_python
from tests.docs.requests import exchange
from tests.docs.serving import (
    REDIS,
    check_caddyfile,
    check_compose,
    check_dockerfile,
    check_unit,
)

__all__ = ["Page"]

_COMPARISON = "coming-from-"
_FOREIGN = "socketio.md"
_TYPED = "client-javascript.md"
_REDIS = ("console", "ini", "js", "python")


class Page:
    """The state of a page under way: its modules, and the folder that holds them as files."""

    def __init__(self, blocks: list[Block], folder: Path) -> None:
        self._blocks = blocks
        self._folder = folder
        self._shared = self._module("page", None)
        self._modules = [self._shared]

    async def run(self) -> None:
        """Run every block in order; raises `AssertionError` for the first that is wrong."""
        with self._imported(), self._with_redis():
            for number, block in enumerate(self._blocks):
                following = self._blocks[number + 1] if number + 1 < len(self._blocks) else None
                output = following.code if following and following.language == "text" else None
                await self._run(block, output, self._blocks[number - 1] if number else None)

    @contextlib.contextmanager
    def _with_redis(self) -> Generator[None]:
        """Let a Redis be where the page says one is."""
        named = [each.language in _REDIS and REDIS.search(each.code) for each in self._blocks]
        if not any(named):
            yield
            return
        with redis_server() as redis:
            self._blocks = [
                block._replace(code=REDIS.sub(redis.url, block.code)) if found else block
                for block, found in zip(self._blocks, named, strict=True)
            ]
            yield

    async def _run(self, block: Block, output: str | None, before: Block | None) -> None:
        match block.language:
            case "python" if f"//{ADDRESS}" in block.code:
                async with self._served() as url:
                    await run_in_python(block, output or "", url, self._folder)
            case "python":
                printed = await self._python(block, raises=output is not None)
                check_output(output or "", printed, str(block))
            case "js" | "html":
                assert output is not None, f"{block}: say in a text block what it logs"
                async with self._served() as url:
                    if block.code.startswith("import ") and 'from "/' not in block.code:
                        await run_in_node(block, output, url, self._folder)
                    else:
                        await run_in_browser(block, output, url)
            case "jsonc":
                async with self._served() as url:
                    await replay(block, url)
            case "http":
                async with self._served() as url:
                    await exchange(block, url)
            case "console":
                check_commands(block, self._folder, output)
            case "ini":
                check_unit(block, self._folder)
            case "text":
                known = before is not None and (
                    before.language in {"python", "js", "html"}
                    or before.code.endswith(FAILS)
                    or before.code.startswith(LAYOUT)
                )
                assert known, f"{block}: a text block is the output of the program before it"
            case "ts" if block.page.name == _TYPED:
                await check_types(block, self._folder)
            case "ts":
                name = block.page.name
                expected = f"{_TYPED} and {_COMPARISON}… only"
                assert name.startswith(_COMPARISON), f"{block}: ts belongs to {expected}"
            case "dart" | "java" | "swift":
                name = block.page.name
                assert name == _FOREIGN, f"{block}: {block.language} belongs to {_FOREIGN} only"
            case "dockerfile":
                check_dockerfile(block, self._folder)
            case "yaml":
                check_compose(block, self._titled("Dockerfile"), self._folder)
            case "caddy" if block.title is not None:
                check_caddyfile(block, self._titled("compose.yaml"))
            case "nginx" | "caddy":
                pass  # test_proxies.py
            case language:
                raise AssertionError(f"{block}: no rule says how to check {language!r}")

    def _titled(self, title: str) -> Block:
        (found,) = [block for block in self._blocks if block.title == title]
        return found

    @contextlib.asynccontextmanager
    async def _served(self) -> AsyncGenerator[Url]:
        """The page's `app`: the one defined last, in a file or between the files."""
        found = [vars(module)["app"] for module in self._modules if "app" in vars(module)]
        assert found, "expected an `app` in a python block above"
        app: ASGIApp = found[-1]
        async with serve(app) as url:
            yield url

    # Python

    def _module(self, name: str, file: Path | None) -> types.ModuleType:
        module = types.ModuleType(name)
        module.__file__ = str(file) if file else None
        return module

    @contextlib.contextmanager
    def _imported(self) -> Generator[None]:
        """Let the page's modules be imported by name, and forget them afterwards."""
        before = dict(sys.modules)
        sys.modules[self._shared.__name__] = self._shared
        try:
            yield
        finally:
            for name in set(sys.modules) - set(before):
                if getattr(sys.modules[name], "__file__", None) in self._files():
                    del sys.modules[name]
            for module in self._modules:
                sys.modules.pop(module.__name__, None)

    def _files(self) -> set[str]:
        return {str(file) for file in self._folder.iterdir()}

    async def _python(self, block: Block, *, raises: bool) -> str:
        """Run a block and its tests; returns what it printed and, where expected, raised."""
        module = self._shared
        if block.title is not None:
            file = self._folder / block.title
            file.write_text(block.code + "\n", encoding="utf-8")
            module = self._module(file.stem, file)
            assert file.stem not in sys.modules or sys.modules[file.stem] in self._modules, (
                f"{block}: {block.title} would hide the module {file.stem}"
            )
            self._modules = [each for each in self._modules if each.__name__ != file.stem]
            sys.modules[module.__name__] = module
        else:
            self._modules.remove(module)
        self._modules.append(module)
        before = dict(vars(module))
        printed = io.StringIO()
        # Blank lines above it, so that tracebacks name the lines of the page.
        source = "\n" * (block.line - 1) + block.code
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(source, str(block.page), "exec", flags=flags, dont_inherit=True)
        with contextlib.redirect_stdout(printed):
            try:
                result = eval(code, vars(module))  # noqa: S307
                if code.co_flags & inspect.CO_COROUTINE:
                    await result
            except Exception as error:
                if not raises:
                    raise AssertionError(f"{block} failed:\n{traceback.format_exc()}") from error
                printed.write(f"{type(error).__name__}: {error}")
        for name, value in list(vars(module).items()):
            if name.startswith("test_") and value is not before.get(name):
                await _test(value, f"{block}: {name}")
        return printed.getvalue()


async def _test(function: Callable[..., Any], where: str) -> None:
    try:
        result = function()
        if inspect.isawaitable(result):
            async with asyncio.timeout(20):
                await result
    except Exception as error:
        raise AssertionError(f"{where} failed:\n{traceback.format_exc()}") from error
