"""Replays conversations written as frames.

```jsonc
// client
{"event": "join", "data": "lobby", "id": 1}
// server
{"id": 1, "data": null}
```

Each line of the client is one frame, right or wrong; the server's frames may be broken in several.
`"…"` stands for any string, and `// server closes 4500` expects the end. The block's title names
the namespace and the sub-protocol where they are not /chat and none; with plain.msgpack the same
maps travel in MessagePack.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests._support.server import Url
from tests.docs.markdown import Block

__all__ = ["replay"]

_CLOSES = re.compile(r"server closes (\d+)")
_LAST = 2**53 - 1


async def replay(block: Block, url: Url) -> None:
    """Play the client's part; the server's frames must be exactly those of the block."""
    namespace, _, offered = (block.title or "/chat").partition(" ")
    subprotocols = [Subprotocol(offered)] if offered else None
    async with (
        asyncio.timeout(10),
        connect(url.ws + namespace, subprotocols=subprotocols) as socket,
    ):
        for speaker, said, line in _turns(block):
            where = f"{block}, its line {line}"
            if closes := _CLOSES.fullmatch(speaker):
                await _closed(socket, int(closes[1]), where)
                return
            if speaker == "client":
                for text in said:
                    await socket.send(msgspec.msgpack.encode(json.loads(text)) if offered else text)
                continue
            assert speaker == "server", f"{where}: who is {speaker!r}?"
            for expected in _values("\n".join(said)):
                got = _read(await socket.recv())
                assert same(expected, got), f"{where}: expected {expected}, got {got}"
        # Answers come in order: when this one is here, nothing else was said before it.
        frame = {"event": "the end of the page", "id": _LAST}
        packed = msgspec.msgpack.encode(frame) if offered else json.dumps(frame)
        await socket.send(packed)
        last = _read(await socket.recv())
        assert last.get("id") == _LAST, f"{block}: the server also said {last}"


def _turns(block: Block) -> Iterator[tuple[str, list[str], int]]:
    """Who speaks, what they say line by line, and on which line of the block that begins."""
    speaker, said, begin = "nobody", list[str](), 1
    for number, line in enumerate(block.code.splitlines(), 1):
        if line.startswith("//"):
            if said:
                yield speaker, said, begin
            speaker, said, begin = line.removeprefix("//").strip(), [], number
            if _CLOSES.fullmatch(speaker):
                yield speaker, said, begin
        else:
            said.append(line)
    if said:
        yield speaker, said, begin


def _values(text: str) -> Iterator[Any]:
    """The JSON values that follow each other in a text."""
    while text := text.strip():
        value, end = json.JSONDecoder().raw_decode(text)
        yield value
        text = text[end:]


def same(expected: Any, got: Any) -> bool:
    """Whether two values are equal, `…` standing for any string."""
    if expected == "…":
        return isinstance(got, str)
    if isinstance(expected, dict) and isinstance(got, dict):
        return expected.keys() == got.keys() and all(same(v, got[k]) for k, v in expected.items())
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    return type(expected) is type(got) and expected == got


def _read(message: str | bytes) -> dict[str, Any]:
    read: dict[str, Any] = (
        json.loads(message) if isinstance(message, str) else msgspec.msgpack.decode(message)
    )
    return read


async def _closed(socket: ClientConnection, code: int, where: str) -> None:
    try:
        message = await socket.recv()
    except ConnectionClosed as closed:
        got = closed.rcvd.code if closed.rcvd is not None else 1006
        assert got == code, f"{where}: expected the close code {code}, got {got}"
    else:
        raise AssertionError(f"{where}: expected the connection's end, got {message!r}")
