"""Builds the JavaScript client that the package ships: `python -m tests.client_js.building`."""

import subprocess
import sys
from pathlib import Path

from gatewright.static import FOLDER
from tests._support.server import ROOT
from tests.interop.node import install, node

__all__ = ["CLIENT", "build", "run"]

CLIENT = ROOT / "framework" / "client-js"


def run(*command: str, timeout: float = 50) -> "subprocess.CompletedProcess[str]":
    """Run a script of the client's folder, its packages being there."""
    install(CLIENT)
    return subprocess.run(
        [node(), *command],
        cwd=CLIENT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


def build(folder: Path) -> "subprocess.CompletedProcess[str]":
    """Build into a folder; the exit code is 1 if the script is larger than it may be."""
    return run("build.js", str(folder))


if __name__ == "__main__":
    done = build(FOLDER)
    print(done.stdout, end="")  # noqa: T201
    sys.exit(done.returncode)
