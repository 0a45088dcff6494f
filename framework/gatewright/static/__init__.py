"""The JavaScript client as built from `framework/client-js`, and the routes that serve it.

This folder is an npm package, too: `npm install` takes its path.
"""

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from gatewright.errors import StartupError

__all__ = ["FOLDER", "client_routes"]

FOLDER: Final = Path(__file__).parent

# Not left to the system's own table, which on Windows may say that JavaScript is plain text, and
# everywhere that TypeScript is video.
_TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript",
    ".js.map": "application/json",
    ".d.ts": "text/plain",
}


def client_routes(path: str) -> list[BaseRoute]:
    """Serve the client at `path`, to pages of any origin, with its source map and types beside it.

    Browsers are told to ask each time whether it has changed: client and server are of one version.
    """
    if not path.startswith("/") or not path.endswith("/gatewright.js"):
        raise StartupError(
            "Gatewright(client_js=…)",
            expected="a path that ends with /gatewright.js",
            got=repr(path),
            fix="Say where: client_js='/static/gatewright.js'; None serves none.",
        )
    return [
        Route(path.removesuffix(".js") + suffix, _responder(suffix, kind))
        for suffix, kind in _TYPES.items()
    ]


def _responder(suffix: str, kind: str) -> Callable[[Request], Response]:
    """What answers with one file, or says that it is still the one that the browser has."""
    name = f"gatewright{suffix}"
    files = StaticFiles(directory=FOLDER)

    def respond(request: Request) -> Response:
        content, tag = _read(name)
        headers = {"Cache-Control": "no-cache", "Access-Control-Allow-Origin": "*", "ETag": tag}
        response = Response(content, headers=headers, media_type=kind)
        if files.is_not_modified(response.headers, request.headers):
            return NotModifiedResponse(response.headers)
        return response

    return respond


@cache
def _read(name: str) -> tuple[bytes, str]:
    """A file, and its tag: by its content, since all files of a wheel may be of the same time."""
    content = (FOLDER / name).read_bytes()
    return content, f'"{sha256(content).hexdigest()}"'
