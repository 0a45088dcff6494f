"""HTTP as a test wants it: one request on one connection, given up when its task is cancelled."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

__all__ = ["Reply", "request", "start"]


class Reply(NamedTuple):
    """The answer to a request; of a repeated header the last value, of `set-cookie` all."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def request(
    url: str,
    target: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
) -> Reply:
    """Ask `target`, a path with its query, of the server at `url`."""
    reader, writer = await start(url, target, method, headers=headers, body=body)
    try:
        return _parse(await reader.read())
    finally:
        # A client that gives up resets: no orderly end for the server to overlook.
        writer.transport.abort()


async def start(
    url: str,
    target: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    length: int | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request and leave the rest to the caller; `length` may promise more than is sent."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    fields = {"host": parts.netloc, "connection": "close", **(headers or {})}
    if body or method == "POST":
        fields["content-length"] = str(len(body) if length is None else length)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {each}" for name, each in fields.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    return reader, writer


def _parse(answer: bytes) -> Reply:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = [(name.lower(), value.strip()) for name, _, value in (x.partition(":") for x in lines)]
    cookies = [value for name, value in fields if name == "set-cookie"]
    return Reply(int(first.split()[1]), dict(fields), cookies, body)
