"""The application serves the client."""

import asyncio

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from gatewright import Gatewright, gateway, on
from gatewright.errors import StartupError
from gatewright.static import FOLDER
from tests._support.server import serve

pytestmark = pytest.mark.anyio


@gateway("/chat")
class Chat:
    @on("echo")
    async def echo(self, what: str) -> str:
        return what


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gatewright.js", "text/javascript; charset=utf-8"),
        ("gatewright.js.map", "application/json"),
        ("gatewright.d.ts", "text/plain; charset=utf-8"),
    ],
)
async def test_it_is_there_by_default(name: str, kind: str) -> None:
    async with serve(Gatewright([Chat])) as url, httpx2.AsyncClient(base_url=url) as http:
        got = await http.get(f"/{name}")
        assert got.status_code == 200
        assert got.content == await asyncio.to_thread((FOLDER / name).read_bytes)
        assert got.headers["content-type"] == kind
        assert got.headers["cache-control"] == "no-cache"
        assert got.headers["access-control-allow-origin"] == "*"
        again = await http.get(f"/{name}", headers={"If-None-Match": got.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        head = await http.head(f"/{name}")
        assert (head.status_code, head.content) == (200, b"")
        assert (await http.post(f"/{name}")).status_code == 405


async def test_it_is_where_one_says() -> None:
    realtime = Gatewright([Chat], client_js="/static/gatewright.js")
    app = Starlette(routes=[Mount("/rt", realtime)], lifespan=realtime.lifespan)
    async with serve(app) as url, httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/rt/static/gatewright.js")).status_code == 200
        assert (await http.get("/rt/static/gatewright.d.ts")).status_code == 200
        assert (await http.get("/rt/gatewright.js")).status_code == 426


async def test_it_is_nowhere_if_one_says_so() -> None:
    app = Gatewright([Chat], client_js=None)
    async with serve(app) as url, httpx2.AsyncClient(base_url=url) as http:
        assert (await http.get("/gatewright.js")).status_code == 426


@pytest.mark.parametrize("path", ["gatewright.js", "/client.js", "/gatewright.js/", ""])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(StartupError, match=r"a path that ends with /gatewright\.js"):
        Gatewright([Chat], client_js=path)
