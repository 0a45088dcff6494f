"""A pulled cable: neither end is told, and what was under way arrives when it is plugged again."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests._support.needs import need
from tests.chaos.network import cable, served_behind
from tests.chaos.test_proxy import hangs

pytestmark = pytest.mark.anyio

JOIN = '{"event": "join", "data": ["room"], "id": 1}'
JOINED = {"id": 1, "data": ["room"]}


async def test_nobody_is_told_of_a_pulled_cable_and_nothing_is_lost() -> None:
    with cable() as laid, served_behind(laid) as launched:
        assert launched.url.startswith(f"http://{laid.server_host}:")
        async with connect(f"{launched.url.ws}/chaos", ping_interval=None) as socket:
            await socket.send(JOIN)
            assert json.loads(await socket.recv()) == JOINED
            laid.pull()
            await socket.send(JOIN)
            assert await hangs(socket.recv())
            assert await hangs(connect(f"{launched.url.ws}/chaos"))
            laid.plug()
            assert json.loads(await socket.recv()) == JOINED


def there(*what: str) -> str:
    ip = need("ip", package="iproute2")
    return subprocess.run([ip, *what], check=True, capture_output=True, text=True).stdout


def test_nothing_stays_behind_not_even_after_a_failure() -> None:
    laid = None
    try:
        with cable() as laid:
            assert laid.namespace in there("netns", "list")
            assert laid.client_host in there("address")
            assert f"blackhole {laid.network}" in there("route")
            laid.pull()
            raise LookupError
    except LookupError:
        pass
    assert laid is not None
    assert laid.namespace not in there("netns", "list")
    assert laid.client_host not in there("address")
    assert laid.network not in there("route")


def test_what_is_sent_into_a_pulled_cable_takes_no_other_way() -> None:
    with cable() as laid:
        laid.pull()
        assert f"src {laid.client_host}" in there("route", "get", laid.server_host)


def test_without_root_the_test_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(pytest.skip.Exception, match="needs root"), cable():
        pytest.fail("the block must not run")


def test_where_namespaces_are_refused_it_is_skipped_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refusing = tmp_path / "ip"
    refusing.write_text("#!/bin/sh\necho Operation not permitted >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(pytest.skip.Exception, match="Operation not permitted"), cable():
        pytest.fail("the block must not run")
