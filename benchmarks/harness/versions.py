"""What was measured, and on what: a benchmark without its versions says nothing."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from .peers import NESTJS, NODE_SOCKETIO_PEER

DISTRIBUTIONS = (
    *("gatewright", "uvicorn", "uvloop", "httptools", "websockets", "starlette", "msgspec"),
    *("python-socketio", "python-engineio", "redis"),
)
NODE_PACKAGES = {
    "@nestjs/core": (NESTJS, "@nestjs/core"),
    "@nestjs/platform-ws": (NESTJS, "@nestjs/platform-ws"),
    "ws under NestJS": (NESTJS, "ws"),
    "socket.io": (NODE_SOCKETIO_PEER, "socket.io"),
    "engine.io": (NODE_SOCKETIO_PEER, "engine.io"),
    "ws under engine.io": (NODE_SOCKETIO_PEER, "ws"),
    "@socket.io/redis-adapter": (NODE_SOCKETIO_PEER, "@socket.io/redis-adapter"),
    "redis under Node": (NODE_SOCKETIO_PEER, "redis"),
}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _program(name: str) -> str:
    """What it says of its version, or that it isn't there."""
    try:
        found = subprocess.run([name, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not installed"
    return found.stdout.strip()


def versions() -> dict[str, str]:
    """Name to version; uvicorn uses uvloop and httptools exactly when they are installed."""
    found = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    found["node"] = _program("node").removeprefix("v")
    redis = re.search(r"v=([\d.]+)", _program("redis-server"))
    found["redis-server"] = redis[1] if redis else "not installed"
    for name, (peer, package) in NODE_PACKAGES.items():
        manifest = peer / "node_modules" / package / "package.json"
        found[name] = (
            json.loads(manifest.read_text())["version"] if manifest.exists() else "not installed"
        )
    return found
