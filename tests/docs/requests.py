"""Sends the requests of `http` blocks and compares the responses.

A block is a request's head, an empty line and what must be in the response: its status line,
headers (others may stand between them) and, after another empty line, the whole body.
"""

import asyncio
from urllib.parse import urlsplit

from tests._support.server import Url
from tests.docs.markdown import Block
from tests.docs.outputs import check_output

__all__ = ["exchange"]


async def exchange(block: Block, url: Url) -> None:
    """Send the block's request as it stands and check the response."""
    head, _, rest = block.code.partition("\n\n")
    wanted, _, wanted_body = rest.partition("\n\n")
    address = urlsplit(url)
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            lines = [*head.splitlines(), "", ""]
            writer.write("\r\n".join(lines).encode())
            got = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            status, *headers = wanted.splitlines()
            assert got[0].strip() == status, f"{block}: expected {status!r}, got {got[0]!r}"
            names = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in got}
            for header in headers:
                name, _, value = header.partition(":")
                assert names.get(name.lower()) == value.strip(), f"{block}: {header!r} in {got}"
            if wanted_body:
                body = await reader.readexactly(int(names["content-length"]))
                check_output(wanted_body, body.decode(), str(block))
        finally:
            writer.close()
            await writer.wait_closed()
