"""Checks the commands of `console` blocks: lines that begin with `$ `."""

import configparser
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

from gatewright import Settings
from tests._support.server import ROOT, launch
from tests.docs.markdown import Block

__all__ = ["check_commands", "check_unit"]


def check_commands(block: Block, folder: Path) -> None:
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
            case ["uvicorn", target, *options]:
                _serve([*_without_port(options)], target, folder)
            case ["pytest", *options]:
                _test(options, folder, block)
            case _:
                raise AssertionError(f"{block}: no rule says how to check {line!r}")


def check_unit(block: Block, folder: Path) -> None:
    """Run what a unit of systemd starts, and see that systemd is more patient than the server."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(block.code, source=str(block))
    assert set(unit) == {"DEFAULT", "Unit", "Service", "Install"}, f"{block}: {set(unit)}"
    program, target, *options = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).is_absolute(), f"{block}: systemd wants the whole path of {program!r}"
    assert Path(program).name == "uvicorn", f"{block}: no rule says how to check {program!r}"
    _serve(_without_port(options), target, folder)
    graceful = int(options[options.index("--timeout-graceful-shutdown") + 1])
    longest = 4 * Settings().finish_timeout + graceful
    assert int(unit["Service"]["TimeoutStopSec"]) > longest, f"{block}: it may take {longest} s"


def _check_install(target: str, block: Block) -> None:
    """A checkout, with extras that exist."""
    match = re.fullmatch(r"\.(?:\[([\w,]+)\])?", target)
    assert match, f"{block}: expected a checkout to install, got {target!r}"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for extra in (match[1] or "").split(","):
        assert not extra or extra in project["optional-dependencies"], f"{block}: extra {extra!r}"


def _without_port(options: list[str]) -> list[str]:
    if "--port" not in options:
        return options
    place = options.index("--port")
    return options[:place] + options[place + 2 :]


def _serve(options: list[str], target: str, folder: Path) -> None:
    command = [sys.executable, "-m", "uvicorn", target, "--app-dir", str(folder), "--port", "0"]
    with launch([*command, *options]):
        pass  # it printed its address: module, options and lifespan are good


def _test(options: list[str], folder: Path, block: Block) -> None:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{block}: pytest says\n{done.stdout}{done.stderr}"
