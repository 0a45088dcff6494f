"""`python -m sample_app`, as a person runs it."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests._support.server import ROOT, launch

COMMAND = [sys.executable, "-m", "sample_app"]


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    return [*COMMAND, "--database", str(tmp_path / "miaou.db")]


def test_it_says_where_it_is_and_serves_its_pages(command: list[str]) -> None:
    with launch([*command, "--port", "0"]) as app, httpx2.Client(base_url=app.url) as web:
        assert "Miaou is at" in app.output
        for page in "/", "/miaou/":
            answer = web.get(page)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "text/html; charset=utf-8"
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        # Some systems know no type for .js, and a browser runs no module without the right one.
        for script in "/gatewright.js", "/miaou/miaou.js":
            assert "javascript" in web.get(script).headers["content-type"]
        assert web.get("/miaou").headers["location"] == "/miaou/"
        assert web.get("/miaou/gateway.py").status_code == 404, "the page's folder alone is served"


def test_pages_name_no_other_host() -> None:
    pages = [
        *(ROOT / "sample_app" / "static").iterdir(),
        *(ROOT / "sample_app/miaou/page").iterdir(),
    ]
    assert len(pages) > 10
    for page in pages:
        hosts = set(re.findall(r"https?://[^/\s\"']+", page.read_text()))
        assert hosts <= {"http://www.w3.org"}, page  # the name of SVG's namespace


def test_a_taken_port_is_explained(command: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ran = subprocess.run(
            [*command, "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ran.returncode == 1
    assert f"Cannot listen on 127.0.0.1, port {port}" in ran.stderr
    assert f'make run ARGS="--port {port + 1} --database other.db"' in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_second_one_on_the_same_file_is_explained(command: list[str]) -> None:
    with launch([*command, "--port", "0"]):
        ran = subprocess.run(
            [*command, "--port", "0"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ran.returncode == 3  # uvicorn's own, for a start that has failed
    assert "miaou.sessions.db" in ran.stderr
    assert "end the process that has this one" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Miaou is at" not in ran.stdout


def test_ctrl_c_ends_it_quietly(command: list[str]) -> None:
    with launch([*command, "--port", "0"]) as app:
        with httpx2.Client(base_url=app.url) as web:
            web.get("/")  # it has started once it answers
        app.process.send_signal(signal.SIGINT)
        assert app.process.wait(timeout=20) == 0
    assert "Traceback" not in app.output
