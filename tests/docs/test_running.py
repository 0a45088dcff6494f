"""The runner of pages finds what is wrong with a page."""

from pathlib import Path

import pytest

from tests.docs.markdown import blocks
from tests.docs.running import Page

pytestmark = pytest.mark.anyio

APP = """
```python title="echo.py"
from gatewright import Gatewright, gateway, on


@gateway("/chat")
class Echo:
    @on("echo")
    async def echo(self, text: str) -> str:
        return text


app = Gatewright(gateways=[Echo])
```
"""


async def run(text: str, folder: Path) -> None:
    page = folder / "README.md"
    page.write_text(text)
    files = folder / "files"
    files.mkdir()
    await Page(blocks(page), files).run()


async def test_a_good_page_passes(tmp_path: Path) -> None:
    await run(
        APP
        + """
```python
import asyncio

from echo import app
from gatewright.testing import TestClient

await asyncio.sleep(0)


async def test_echo() -> None:
    async with TestClient(app) as client, client.connect("/chat") as ana:
        print(await ana.call("echo", "hi"))
```
```jsonc
// client
{"event": "echo", "data": "hi", "id": 1}
// server
{"id": 1, "data": "…"}
```
```jsonc title="/chat gw.v1.json"
// client
{"op": "open"}
// server
{"op": "hello", "seq": 0, "heartbeat": {"timeout": 10, "…": "…"}, "…": "…"}
// client
{"event": "echo", "data": "hi", "id": 1}
// client connects again
// client
{"op": "open", "resume": {"session": "…", "token": "…", "epoch": "…", "seq": 0, "sent": 1}}
// server
{"op": "hello", "session": "…", "resumed": true, "…": "…"}
```
```http
GET /chat HTTP/1.1
Host: localhost

HTTP/1.1 426 Upgrade Required
Upgrade: websocket

This is … application.
```
""",
        tmp_path,
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("```python\nassert 1 == 2\n```", "line 16 failed"),
        ("```python\nasync def test_x() -> None:\n    assert 1 == 2\n```", "test_x failed"),
        ("```python\nprint(1)\n```\n```text\n2\n```", "but it was"),
        ("```python\nprint(1)\n```", "but it was"),
        ("```python\n1 / 0\n```\n```text\nKeyError: 1\n```", "ZeroDivisionError"),
        ("```jsonc\n// client\n{}\n// server\n{}\n```", "expected {}"),
        ("```jsonc\n// client\n{}\n```", "the server also said"),
        ('```jsonc\n// client\n{"op": "x"}\n// server closes 4500\n```', "the connection's end"),
        (
            (
                '```jsonc title="/chat gw.v1.json"\n// client\n{"op": "open"}\n// server\n'
                '{"op": "hello", "seq": 1, "…": "…"}\n```'
            ),
            "expected {'op': 'hello', 'seq': 1",
        ),
        (
            (
                '```jsonc title="/chat gw.v1.json"\n// client\n{"op": "open"}\n// server\n'
                '{"op": "hello", "more": 0, "…": "…"}\n```'
            ),
            "expected {'op': 'hello', 'more': 0",
        ),
        ("```http\nGET / HTTP/1.1\nHost: x\n\nHTTP/1.1 200 OK\n```", "426"),
        ("```js\nconsole.log(1);\n```", "what it logs"),
        ("```js\nconsole.log(1);\n```\n```text\n2\n```", "but it was"),
        ('```js\nimport "node:fs";\nconsole.log(1);\n```\n```text\n2\n```', "but it was"),
        ('```js\nimport "nothing-of-that-name";\n```\n```text\n\n```', "ERR_MODULE_NOT_FOUND"),
        ("```html\n<script>console.log(1)</script>\n```\n```text\n2\n```", "but it was"),
        ("```python\nprint('http://127.0.0.1:8000')\n```\n```text\n2\n```", "but it was"),
        ("```python\nhttp://127.0.0.1:8000\n```\n```text\n\n```", "SyntaxError"),
        ("```dart\nmain() {}\n```", "belongs to"),
        ("```console\n$ make nothing-of-that-name\n```", "make knows no"),
        ("```console\n$ pip install gatewright\n```", "expected a checkout"),
        ("```console\n$ rm -rf /\n```", "no rule"),
        ("```console\n$ python benchmarks/layout.py --costs\n```", "what it prints"),
        ("```console\n$ python benchmarks/layout.py --costs\n```\n```text\n2\n```", "but it was"),
        ("```console\n$ uvicorn echo:nothing\n```", "Error loading ASGI app"),
        ("```brainfuck\n+\n```", "no rule"),
        ("```text\n\n```\n```text\nwho says that?\n```", "is the output of"),
        ("```ts\nlet x = 1;\n```", "belongs to"),
        ('```js\nimport { x } from "/gatewright.js";\n```\n```text\n1\n```', "does not provide"),
    ],
)
async def test_a_wrong_block_fails_its_page(wrong: str, message: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        await run(APP + wrong, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(("timeout", "message"), [("1", None), ("'1'", "has not the right types")])
async def test_types_are_checked_on_the_page_about_them(
    timeout: str, message: str | None, tmp_path: Path
) -> None:
    page = tmp_path / "client-javascript.md"
    code = 'import { connect } from "gatewright";\nconnect("/chat", { timeout: %s });'
    page.write_text(f"```ts\n{code % timeout}\n```")
    files = tmp_path / "files"
    files.mkdir()
    running = Page(blocks(page), files).run()
    if message is None:
        await running
    else:
        with pytest.raises(AssertionError, match=message):
            await running


@pytest.mark.parametrize("text", ["```\nx\n```", "```python\nx", "~~~ ```python x=1\n"])
def test_a_fence_that_is_not_understood_fails(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match="expected"):
        blocks(page)
