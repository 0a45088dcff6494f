"""The command line in a process of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

from tests._support.server import ROOT, launch
from tests.drain.programs import Program

__all__ = ["COMMAND", "Ended", "run", "serving"]

COMMAND = (sys.executable, "-m", "gatewright.cli")


class Ended(NamedTuple):
    code: int
    output: str
    errors: str


@asynccontextmanager
async def serving(
    target: str | None, *options: str, env: Mapping[str, str] | None = None
) -> AsyncGenerator[Program]:
    """`gatewright run target`, once it has said where it listens.

    Without a module the target is one of `tests.cli.app`.
    """
    named = [target if ":" in target else f"tests.cli.app:{target}"] if target else []
    launching = launch([*COMMAND, "run", *named, "--port", "0", *options], env=env)
    launched = await asyncio.to_thread(launching.__enter__)
    try:
        yield Program(launched)
    finally:
        await asyncio.to_thread(launching.__exit__, None, None, None)


def run(*arguments: str, env: Mapping[str, str] | None = None, given: str = "") -> Ended:
    """The command until its end; `given` is its standard input."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return Ended(done.returncode, done.stdout, done.stderr)
