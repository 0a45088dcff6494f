"""Replays conversations written as frames.

```jsonc
// client
{"event": "join", "data": "lobby", "id": 1}
// server
{"id": 1, "data": null}
```

Each line of the client is one frame, right or wrong; the server's frames may be broken in several.
`"…"` stands for any string, as a key for any others, and `// server closes 4500` expects the end.
The block's title names the namespace and the sub-protocol where they are not /chat and none; with
MessagePack the same maps travel in that.

A session's client says `"…"` for what the server told it last under the same key: its token, the id
of a call. `// client connects again` is another socket, the one before having been closed.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from tests._support.server import Url
from tests.docs.markdown import Block

__all__ = ["replay"]

_CLOSES = re.compile(r"server closes (\d+)")
_AGAIN = "client connects again"
_ANY = "…"
_LAST = 2**53 - 1


async def replay(block: Block, url: Url) -> None:
    """Play the client's part; the server's frames must be exactly those of the block."""
    async with asyncio.timeout(10), AsyncExitStack() as stack:
        party = _Party(block, url, stack)
        await party.connect()
        for speaker, said, line in _turns(block):
            where = f"{block}, its line {line}"
            if closes := _CLOSES.fullmatch(speaker):
                await _closed(party.socket, int(closes[1]), where)
                return
            if speaker == _AGAIN:
                await party.socket.close()
                await party.connect()
            elif speaker == "client":
                for text in said:
                    await party.send(text)
            else:
                assert speaker == "server", f"{where}: who is {speaker!r}?"
                for expected in _values("\n".join(said)):
                    got = await party.receive()
                    assert same(expected, got), f"{where}: expected {expected}, got {got}"
        # Answers come in order: when this one is here, nothing else was said before it.
        await party.send(json.dumps({"event": "the end of the page", "id": _LAST}))
        last = await party.receive()
        assert last.get("id") == _LAST, f"{block}: the server also said {last}"


class _Party:
    """The client of a conversation, and what it was told."""

    def __init__(self, block: Block, url: Url, stack: AsyncExitStack) -> None:
        namespace, _, offered = (block.title or "/chat").partition(" ")
        self._address = url.ws + namespace
        self._offered = [Subprotocol(offered)] if offered else None
        self._binary = offered.endswith("msgpack")
        self._stack = stack
        self._told: dict[str, Any] = {}
        self.socket: ClientConnection

    async def connect(self) -> None:
        connecting = connect(self._address, subprotocols=self._offered)
        self.socket = await self._stack.enter_async_context(connecting)

    async def send(self, text: str) -> None:
        """A line of the page; one that is no frame goes as it is."""
        if _ANY in text:
            text = json.dumps(self._filled(json.loads(text)), ensure_ascii=False)
        await self.socket.send(msgspec.msgpack.encode(json.loads(text)) if self._binary else text)

    async def receive(self) -> dict[str, Any]:
        frame = _read(await self.socket.recv())
        self._told.update(frame)
        return frame

    def _filled(self, frame: dict[str, Any]) -> dict[str, Any]:
        return {
            key: self._filled(value)
            if isinstance(value, dict)
            else self._told[key]
            if value == _ANY
            else value
            for key, value in frame.items()
        }


def _turns(block: Block) -> Iterator[tuple[str, list[str], int]]:
    """Who speaks, what they say line by line, and on which line of the block that begins."""
    speaker, said, begin = "nobody", list[str](), 1
    for number, line in enumerate(block.code.splitlines(), 1):
        if line.startswith("//"):
            if said:
                yield speaker, said, begin
            speaker, said, begin = line.removeprefix("//").strip(), [], number
            if _CLOSES.fullmatch(speaker) or speaker == _AGAIN:
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
    """Whether two values are equal, `…` standing for any string, or for any more keys."""
    if expected == _ANY:
        return isinstance(got, str)
    if isinstance(expected, dict) and isinstance(got, dict):
        named = expected.keys() - {_ANY}
        fit = named <= got.keys() if _ANY in expected else named == got.keys()
        return fit and all(same(expected[key], got[key]) for key in named)
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(same, expected, got))
    # JSON has one kind of number.
    numbers = {type(expected), type(got)} <= {int, float}
    return (numbers or type(expected) is type(got)) and expected == got


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
