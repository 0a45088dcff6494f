"""Checks the commands of `console` blocks: lines that begin with `$ `."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from tests._support.server import ROOT
from tests.docs import serving
from tests.docs.markdown import Block
from tests.docs.outputs import check_output

__all__ = ["FAILS", "LAYOUT", "check_commands"]

FAILS = "# fails"
"""How a command ends that does, with what it says in the block after it."""


LAYOUT = "$ python benchmarks/layout.py"
"""How a command begins that is run here, and prints the block after it."""


def check_commands(block: Block, folder: Path, output: str | None) -> None:
    """Run or check each command; `folder` holds the page's titled files."""
    for line in block.code.splitlines():
        assert line.startswith("$ "), f"{block}: expected a command after '$ ', got {line!r}"
        command = shlex.split(line.removeprefix("$ "), comments=True)
        match command:
            case ["make", target, *_]:
                makefile = (ROOT / "Makefile").read_text()
                known = re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
                assert known, f"{block}: make knows no {target!r}"
            case ["pip", "install", *targets]:
                for target in targets:
                    _check_install(target, block)
            case ["gatewright", "run", *_] if line.endswith(FAILS):
                assert output is not None, f"{block}: say in a text block what it says"
                serving.fail(command[0], command[1:], folder, output, block)
            case ["gatewright", "emit", *options]:
                _emit(options, block)
            case ["uvicorn", *_] | ["gatewright", "run", *_]:
                serving.serve(command[0], command[1:], folder)
            case ["python", "benchmarks/layout.py", *options]:
                _compute(options, output, block)
            case ["pytest", *options]:
                _test(options, folder, block)
            case _:
                raise AssertionError(f"{block}: no rule says how to check {line!r}")


def _check_install(target: str, block: Block) -> None:
    """A checkout, with extras that exist."""
    match = re.fullmatch(r"\.(?:\[([\w,]+)\])?", target)
    assert match, f"{block}: expected a checkout to install, got {target!r}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in (match[1] or "").split(","):
        assert not extra or extra in project["optional-dependencies"], f"{block}: extra {extra!r}"


def _emit(options: list[str], block: Block) -> None:
    """Nobody is there, but it has a number."""
    done = subprocess.run(
        [sys.executable, "-m", "gatewright.cli", "emit", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{block}: gatewright emit says\n{done.stdout}{done.stderr}"
    assert done.returncode == 0, said
    assert done.stdout.strip().isdecimal() or "--volatile" in options, said


def _compute(options: list[str], output: str | None, block: Block) -> None:
    assert output is not None, f"{block}: say in a text block what it prints"
    command = [sys.executable, "benchmarks/layout.py", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block}: it says\n{done.stderr}"
    check_output(output, done.stdout, str(block))


def _test(options: list[str], folder: Path, block: Block) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{block}: pytest says\n{done.stdout}{done.stderr}"
