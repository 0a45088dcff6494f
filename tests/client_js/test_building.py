"""What is shipped is what the sources say."""

import gzip
import json
import re
import tomllib
from pathlib import Path

from gatewright.static import FOLDER
from tests._support.server import ROOT
from tests.client_js.building import CLIENT, build, run

FILES = ["gatewright.js", "gatewright.js.map", "gatewright.d.ts"]


def test_the_committed_files_are_the_built_ones(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 0, done.stdout
    for name in FILES:
        built, committed = (tmp_path / name).read_bytes(), (FOLDER / name).read_bytes()
        assert built == committed, f"{name} is not what the sources say: run `make client`"


def test_the_script_is_small() -> None:
    assert len(gzip.compress((FOLDER / "gatewright.js").read_bytes())) <= 5000


def test_a_script_that_is_too_large_is_no_build(tmp_path: Path) -> None:
    # Below, so that it finds the packages.
    copy = CLIENT / "node_modules" / ".too-large.js"
    source = (CLIENT / "build.js").read_text(encoding="utf-8")
    assert source.count("LARGEST = 5000") == 1
    copy.write_text(source.replace("LARGEST = 5000", "LARGEST = 500"), encoding="utf-8")
    try:
        done = run(str(copy), str(tmp_path))
    finally:
        copy.unlink()
    assert done.returncode == 1, done.stdout
    assert "of 500" in done.stdout


def test_it_has_the_version_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for folder in (FOLDER, CLIENT):
        assert json.loads((folder / "package.json").read_text())["version"] == version


def test_it_depends_on_nothing() -> None:
    for folder in (FOLDER, CLIENT):
        assert "dependencies" not in json.loads((folder / "package.json").read_text())
    assert not re.search(r"(^|;)import\b", (FOLDER / "gatewright.js").read_text(), re.MULTILINE)
