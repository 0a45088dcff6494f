"""Both type checkers, in their strict modes: silent on the programs, heard on every misuse."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests._support.needs import missing
from tests._support.server import ROOT

HERE = Path(__file__).parent
PROGRAMS = sorted([*(HERE / "programs").glob("*.py"), HERE / "test_overrides.py"])
MISUSES = sorted(file for file in (HERE / "misuse").glob("*.py") if file.name != "__init__.py")
UNCHECKED = "# type: ignore\n"

Found = dict[tuple[str, int], str]
"""What is said of a file's line."""

# A first run reads everything that is imported; later ones have their cache.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def heard_by_mypy(tmp_path_factory: pytest.TempPathFactory) -> Found:
    shadows: list[str] = []
    for file in MISUSES:
        copy = tmp_path_factory.mktemp("misuse") / file.name
        copy.write_text(_checked(file))
        shadows += ["--shadow-file", str(file), str(copy)]
    output = _run("mypy", "--output", "json", *shadows, *map(str, [*PROGRAMS, *MISUSES]))
    found: Found = {}
    for line in output.splitlines():
        error = json.loads(line)
        if error["severity"] == "error":
            key = Path(error["file"]).name, error["line"]
            found[key] = found.get(key, "") + error["message"] + "\n"
    return found


@pytest.fixture(scope="module")
def heard_by_pyright(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("pyright")
    for file in [*PROGRAMS, *MISUSES]:
        # Copies, since pyright reads nothing outside of the folder that its settings are in.
        (folder / file.name).write_text(_checked(file) if file in MISUSES else file.read_text())
    config = {
        "extraPaths": [str(ROOT), str(ROOT / "framework")],
        "typeCheckingMode": "strict",
        "pythonVersion": f"{sys.version_info.major}.{sys.version_info.minor}",
        # What a misuse file declares is there to be wrong, not to be used.
        "reportUnusedClass": "none",
        "reportUnusedFunction": "none",
        "reportUnnecessaryTypeIgnoreComment": "error",
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    output = _run("pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(folder))
    answer = json.loads(output)
    assert answer["summary"]["filesAnalyzed"] == len(PROGRAMS) + len(MISUSES)
    found: Found = {}
    for error in answer["generalDiagnostics"]:
        key = Path(error["file"]).name, error["range"]["start"]["line"] + 1
        found[key] = found.get(key, "") + error["message"] + "\n"
    return found


@pytest.mark.parametrize("file", PROGRAMS, ids=lambda file: file.stem)
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_program_is_clean(checker: str, file: Path, request: pytest.FixtureRequest) -> None:
    found: Found = request.getfixturevalue(f"heard_by_{checker}")
    assert {line: text for (name, line), text in found.items() if name == file.name} == {}


@pytest.mark.parametrize("file", MISUSES, ids=lambda file: file.stem)
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_misuse_is_heard(checker: str, file: Path, request: pytest.FixtureRequest) -> None:
    found: Found = request.getfixturevalue(f"heard_by_{checker}")
    heard = {line: text for (name, line), text in found.items() if name == file.name}
    lines = file.read_text().splitlines()
    marked = {number for number, line in enumerate(lines, 1) if line.endswith("# error")}
    assert marked
    unheard = {number: lines[number - 1].strip() for number in marked - set(heard)}
    unmarked = {number: heard[number] for number in set(heard) - marked}
    assert (unheard, unmarked) == ({}, {})


def _checked(file: Path) -> str:
    """The file without the line that keeps checks away; the lines keep their numbers."""
    text = file.read_text()
    assert text.startswith(UNCHECKED)
    return text.replace(UNCHECKED, "\n", 1)


def _run(checker: str, *arguments: str) -> str:
    command: list[str] = [sys.executable, "-m", checker, *arguments]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=_environment()
    )
    if f"No module named {checker}" in ended.stderr:
        missing(f"needs {checker}, of the project's group `lint`")
    # 1 says that there are errors; the misuses are.
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return ended.stdout


def _environment() -> dict[str, str]:
    # Its news about newer versions would ask the network at every run.
    return {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
