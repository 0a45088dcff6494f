"""Checks what starts servers: commands, units of systemd, Dockerfiles and Compose files."""

import configparser
import importlib
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gatewright import Settings
from gatewright.backplane.urls import BACKPLANE
from tests._support.redises import redis_server
from tests._support.server import ROOT, launch
from tests.docs.markdown import Block
from tests.docs.outputs import check_output

__all__ = [
    "REDIS",
    "check_caddyfile",
    "check_compose",
    "check_dockerfile",
    "check_unit",
    "fail",
    "serve",
]

REDIS: re.Pattern[str] = re.compile(r"redis://(localhost|redis):6379")
"""Where a page says that a Redis is: on this machine, or in its Compose file."""

LONGEST = 4 * Settings().finish_timeout + 15
"""Seconds that a server may need to stop (deploying.md), its `--timeout-graceful-shutdown` last."""


def serve(program: str, options: Sequence[str], folder: Path) -> None:
    """Start a server as a page says, and see that it listens; without its own port."""
    workers = int(options[options.index("--workers") + 1]) if "--workers" in options else 1
    with launch(_command(program, options, folder)) as server:
        server.wait_for("Application startup complete", workers)


def fail(program: str, options: Sequence[str], folder: Path, output: str, block: Block) -> None:
    """Start one that cannot start; it says why."""
    done = subprocess.run(
        _command(program, options, folder),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode not in (0, 1), f"{block}: it ended with {done.returncode}\n{done.stdout}"
    check_output(output, done.stdout, str(block))


def check_unit(block: Block, folder: Path) -> None:
    """Run what a unit of systemd starts, and see that systemd is more patient than the server."""
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(block.code, source=str(block))
    assert set(unit) == {"DEFAULT", "Unit", "Service", "Install"}, f"{block}: {set(unit)}"
    service = unit["Service"]
    program, *options = shlex.split(service["ExecStart"].replace("%i", "8001"))
    assert Path(program).is_absolute(), f"{block}: systemd wants the whole path of {program!r}"
    if setting := service.get("Environment"):
        name, _, value = setting.partition("=")
        assert name == BACKPLANE, f"{block}: no rule says how to check {name}"
        options += ["--backplane", value]
    serve(Path(program).name, options, folder)
    assert int(service["TimeoutStopSec"]) > LONGEST, f"{block}: it may take {LONGEST} s"


def check_dockerfile(block: Block, folder: Path) -> None:
    """Run what a container of the image would run, as its first process."""
    program, *options = _image(block)
    serve(program, _without(options, "--host"), folder)


def check_compose(block: Block, dockerfile: Block, folder: Path) -> None:
    """See that its parts know each other, and run those that are ours, with its Redis."""
    compose = importlib.import_module("yaml").safe_load(block.code)
    services: dict[str, Any] = compose["services"]
    ours = {name: each for name, each in services.items() if "build" in each}
    assert len(ours) > 1, f"{block}: expected several services of ours"
    program, *options = _image(dockerfile)
    _, *kept = shlex.split(services["redis"]["command"])
    with redis_server(*kept) as redis:
        for name, service in ours.items():
            for needed in service["depends_on"]:
                assert "healthcheck" in services[needed], f"{block}: {name} waits for {needed}"
            env = dict(service["environment"])
            env[BACKPLANE], found = REDIS.subn(redis.url, env[BACKPLANE])
            assert found, f"{block}: {name} has no Redis"
            command = _command(program, _without(options, "--host"), folder)
            with launch(command, env=env):
                pass
            patience = service["stop_grace_period"]
            assert int(patience.removesuffix("s")) > LONGEST, f"{block}: it may take {LONGEST} s"
    for name, service in services.items():
        assert ("image" in service) is not ("build" in service), f"{block}: {name} is what?"
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source.startswith("./") or source in compose["volumes"], f"{block}: {source}"


def check_caddyfile(block: Block, compose: Block) -> None:
    """See that it passes on to all services of ours, at the port where they listen."""
    services = importlib.import_module("yaml").safe_load(compose.code)["services"]
    wanted = {f"{name}:8000" for name, each in services.items() if "build" in each}
    assert wanted == set(re.findall(r"[\w-]+:8000", block.code)), f"{block}: expected {wanted}"


def _image(block: Block) -> list[str]:
    lines = [line for line in block.code.splitlines() if line.startswith("CMD ")]
    assert len(lines) == 1, f"{block}: expected one CMD"
    command: list[str] = json.loads(lines[0].removeprefix("CMD "))
    return command


def _command(program: str, options: Sequence[str], folder: Path) -> list[str]:
    place = ["--app-dir", str(folder), "--port", "0"]
    if program == "uvicorn":
        return [sys.executable, "-m", "uvicorn", *_without(options, "--port"), *place]
    assert program == "gatewright", f"no rule says how to check {program!r}"
    return [sys.executable, "-m", "gatewright.cli", *_without(options, "--port"), *place]


def _without(options: Sequence[str], name: str) -> list[str]:
    if name not in options:
        return list(options)
    place = options.index(name)
    return [*options[:place], *options[place + 2 :]]
