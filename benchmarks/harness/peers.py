"""The servers that are compared, and how each is started."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SERVERS = HERE / "servers"
NESTJS = HERE / "peers" / "nestjs"
NODE_SOCKETIO_PEER = HERE / "peers" / "socketio"
SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"


@dataclass(frozen=True)
class Server:
    name: str
    title: str
    command: tuple[str, ...]
    """`{port}` is filled in."""
    dialect: str = "calls"
    path: str = "/ws"
    imports: str = ""
    """What Python must be able to import for it, as one statement."""
    files: tuple[tuple[Path, str], ...] = field(default=())
    """What must have been built for it, each with the way to build it."""
    environment: tuple[tuple[str, str], ...] = ()
    """Beside PORT, and the URL of a Redis where it is one of several nodes."""

    def missing(self) -> str | None:
        """Says in one sentence what keeps it from running here; None: it can run."""
        for path, remedy in self.files:
            if not path.exists():
                return f"{path.relative_to(HERE.parent)} is missing: {remedy}"
        if self.imports:
            probe = subprocess.run(
                [sys.executable, "-c", self.imports], capture_output=True, text=True, check=False
            )
            if probe.returncode:
                return (probe.stderr.strip().splitlines() or ["it cannot be imported"])[-1]
        return None


def built(path: Path, command: str) -> tuple[Path, str]:
    """What an npm command in a peer's folder makes, and the sentence that says so."""
    folder = next(parent for parent in path.parents if (parent / "package.json").exists())
    return path, f"run {command} in {folder.relative_to(HERE.parent)}"


def uvicorn(application: str) -> tuple[str, ...]:
    """Stock uvicorn as its command line starts it, without the log lines of each connection."""
    return (
        *(sys.executable, "-m", "uvicorn", application, "--app-dir", str(SERVERS)),
        *("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
    )


GATEWRIGHT = "gatewright"
GATEWRIGHT_WS = "gatewright-ws"
GATEWRIGHT_V1 = "gatewright-v1"
GATEWRIGHT_MOUNTED = "gatewright-mounted"
GATEWRIGHT_SIO = "gatewright-sio"
GATEWRIGHT_SIO_WS = "gatewright-sio-ws"
STARLETTE = "starlette"
SOCKETIO = "python-socketio"
NEST = "nestjs"
NODE_SOCKETIO = "node-socketio"
NODE_SHARDED = "node-socketio-sharded"

CATALOGUE = {
    server.name: server
    for server in (
        Server(
            GATEWRIGHT,
            "gatewright, stock uvicorn",
            uvicorn("gatewright_bench:app"),
            imports="from gatewright import Gatewright; import uvicorn",
        ),
        Server(
            GATEWRIGHT_WS,
            "gatewright, its own `ws=` class",
            (sys.executable, str(SERVERS / "own_protocol.py"), "gatewright_bench:app"),
            imports="from gatewright.server import WebSocketProtocol; import uvicorn",
        ),
        Server(
            GATEWRIGHT_V1,
            "gatewright, `gw.v1`, its own `ws=` class",
            (sys.executable, str(SERVERS / "own_protocol.py"), "gatewright_bench:app"),
            dialect="gw",
            imports="from gatewright.server import WebSocketProtocol; import uvicorn",
        ),
        Server(
            GATEWRIGHT_MOUNTED,
            "gatewright in a Starlette app, stock uvicorn",
            uvicorn("mounted_bench:app"),
            imports="from gatewright import Gatewright; import uvicorn",
        ),
        Server(
            GATEWRIGHT_SIO,
            "gatewright, Socket.IO door, stock uvicorn",
            uvicorn("gatewright_socketio_bench:app"),
            dialect="socketio",
            path=SOCKETIO_PATH,
            imports="import gatewright.transports.socketio, uvicorn",
        ),
        Server(
            GATEWRIGHT_SIO_WS,
            "gatewright, Socket.IO door, its own `ws=` class",
            (sys.executable, str(SERVERS / "own_protocol.py"), "gatewright_socketio_bench:app"),
            dialect="socketio",
            path=SOCKETIO_PATH,
            imports="import gatewright.server, gatewright.transports.socketio, uvicorn",
        ),
        Server(
            STARLETTE,
            "bare Starlette + msgspec, stock uvicorn",
            uvicorn("starlette_bench:app"),
            imports="import msgspec, starlette, uvicorn",
        ),
        Server(
            SOCKETIO,
            "python-socketio, stock uvicorn",
            uvicorn("socketio_bench:app"),
            dialect="socketio",
            path=SOCKETIO_PATH,
            imports="import socketio, uvicorn",
        ),
        Server(
            NEST,
            "NestJS, platform-ws",
            ("node", str(NESTJS / "dist" / "main.js")),
            dialect="events",
            files=(
                built(NESTJS / "node_modules", "npm ci"),
                built(NESTJS / "dist" / "main.js", "npm run build"),
            ),
        ),
        Server(
            NODE_SOCKETIO,
            "Node's socket.io",
            ("node", str(NODE_SOCKETIO_PEER / "main.js")),
            dialect="socketio",
            path=SOCKETIO_PATH,
            files=(built(NODE_SOCKETIO_PEER / "node_modules", "npm ci"),),
        ),
        Server(
            NODE_SHARDED,
            "Node's socket.io, sharded adapter",
            ("node", str(NODE_SOCKETIO_PEER / "main.js")),
            dialect="socketio",
            path=SOCKETIO_PATH,
            files=(built(NODE_SOCKETIO_PEER / "node_modules", "npm ci"),),
            environment=(("ADAPTER", "sharded"),),
        ),
    )
}
