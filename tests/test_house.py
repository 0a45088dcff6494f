"""The rules of the house that no tool checks: short files, locks that any mirror can serve."""

import subprocess
import tomllib
from pathlib import Path

import pytest

from tests._support.needs import need
from tests._support.server import ROOT

LONGEST = 400  # lines

# In pieces, since this file is searched as well.
REGISTRIES = [
    ".".join(pieces)
    for pieces in [
        ("pypi", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("deb", "debian", "org"),
    ]
]


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a git checkout, so nothing says which files are the project's")
    git = need("git", package="git")
    listed = subprocess.run(
        [git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file()]


def test_files_are_short(tracked: list[Path]) -> None:
    sources = [file for file in tracked if file.suffix in {".py", ".ts", ".js", ".dart"}]
    assert sources
    long = {
        str(file.relative_to(ROOT)): lines
        for file in sources
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > LONGEST
    }
    assert not long, f"files over {LONGEST} lines; split them by what their parts are: {long}"


def test_no_package_registry_is_named(tracked: list[Path]) -> None:
    naming = {
        f"{file.relative_to(ROOT)}: {registry}"
        for file in tracked
        for registry in REGISTRIES
        if registry.encode() in file.read_bytes()
    }
    assert not naming, (
        f"name packages, not the registry's address, so that any mirror serves them: {naming}"
    )


def test_every_locked_package_has_a_hash() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert {"dev.txt", "run.txt", "uv.txt"} <= {lock.name for lock in locks}
    for lock in locks:
        for entry in lock.read_text().replace("\\\n", "").splitlines():
            if entry and not entry.lstrip().startswith("#"):
                assert " --hash=sha256:" in entry, f"{lock.name}: {entry}"


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    for group in ("build", "docs", "lint", "sample", "test"):
        wanted += [entry for entry in project["dependency-groups"][group] if isinstance(entry, str)]
    locked = {
        line.split("==")[0]
        for line in (ROOT / "requirements/dev.txt").read_text().splitlines()
        if "==" in line
    }
    names = {requirement.split(">=")[0].split("[")[0] for requirement in wanted}
    assert names <= locked, f"run `make lock`: {sorted(names - locked)} are not in the lock"
