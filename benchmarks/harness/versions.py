"""What was measured, and on what: a benchmark without its versions says nothing."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

from .peers import NESTJS

DISTRIBUTIONS = (
    *("gatewright", "uvicorn", "uvloop", "httptools", "websockets", "starlette", "msgspec"),
    *("python-socketio", "python-engineio"),
)
NODE_PACKAGES = ("@nestjs/core", "@nestjs/platform-ws", "ws")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _node() -> str:
    try:
        found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "not installed"
    return found.stdout.strip().removeprefix("v")


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
    found["node"] = _node()
    for name in NODE_PACKAGES:
        manifest = NESTJS / "node_modules" / name / "package.json"
        found[name] = (
            json.loads(manifest.read_text())["version"] if manifest.exists() else "not installed"
        )
    return found
