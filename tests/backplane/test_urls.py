"""Backplanes named by URL, in code, in the environment and in both."""

import sys
from pathlib import Path

import pytest

from gatewright import Gatewright, backplane, gateway, on
from gatewright.backplane import Memory, SQLite, connect
from gatewright.backplane.urls import BACKPLANE, WORKERS, choose, without_secrets
from gatewright.errors import StartupError


class Shared(Memory):
    """What decides is only this word of the contract."""

    shared = True


@pytest.mark.parametrize("url", ["memory:", "memory://"])
def test_memory(url: str) -> None:
    backplane = connect(url)
    assert isinstance(backplane, Memory)
    assert backplane.address == "memory:"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///chat.db", "chat.db"),
        ("sqlite:////srv/chat.db", "/srv/chat.db"),
        ("sqlite:///data/my%20chat.db?synchronous=normal", "data/my chat.db"),
    ],
)
def test_sqlite_with_three_slashes_and_a_path(url: str, path: str) -> None:
    backplane = connect(url)
    assert isinstance(backplane, SQLite)
    assert backplane.address == f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://ana:secret@host:6380/2?prefix=chat", "redis://host:6380/2?prefix=chat"),
        ("redis+cluster://one:6379,two:6379", "redis+cluster://one:6379,two:6379"),
        ("rediss://host:6379?ssl_cert_reqs=none&prefix=a", "rediss://host:6379?prefix=a"),
        ("nats://ana:secret@one:4222,two:4222?prefix=chat", "nats://one:4222,two:4222?prefix=chat"),
    ],
)
def test_redis_and_nats_with_their_options_and_without_secrets(url: str, address: str) -> None:
    backplane = connect(url)
    assert backplane.shared
    assert backplane.address == address


@pytest.mark.parametrize(("module", "url"), [("redis", "redis://host"), ("nats", "nats://host")])
def test_a_package_that_is_missing_is_named_with_its_extra(
    module: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(sys.modules):
        if name.startswith(f"gatewright.backplane.{module}"):
            monkeypatch.delitem(sys.modules, name)
    # As an attribute of the package it would be found although it is no module any more.
    monkeypatch.delattr(backplane, module, raising=False)
    for name in list(sys.modules):
        if name.partition(".")[0] == module:
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StartupError) as caught:
        connect(url)
    assert f"pip install 'gatewright[{module}]'" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "expected the URL of a backplane"),
        ("chat.db", "got 'chat.db'"),
        ("localhost:6379", r"Write redis://localhost:6379"),
        ("memory://here", "got 'memory://here'"),
        ("mysql://host/chat", "redis://"),
        ("redis://[half", "cannot be read"),
        ("sqlite:chat.db", "three slashes"),
        ("sqlite://chat.db", "three slashes"),
        ("sqlite:///", "three slashes"),
        ("sqlite:///a.db?mode=ro", "no option but synchronous, got mode"),
        ("sqlite:///a.db?synchronous=off", "'full' or 'normal', got 'off'"),
    ],
)
def test_a_url_that_names_none_is_refused_with_what_to_write(url: str, message: str) -> None:
    with pytest.raises(StartupError, match=message):
        connect(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ana:secret@host:6379/0?password=secret", "redis://host:6379/0"),
        ("redis://:s/e?c@ret@host", "redis://…"),
        ("nats://secret@a:4222,nats://secret@b:4222", "nats://b:4222"),
        ("ana:secret@host:6379", "host:6379"),
        ("memory:", "memory:"),
    ],
)
def test_nothing_secret_is_shown(url: str, shown: str) -> None:
    assert without_secrets(url) == shown
    if not url.startswith(("redis", "nats", "memory")):
        with pytest.raises(StartupError) as caught:
            connect(url)
        assert "secret" not in str(caught.value)


def test_without_any_word_it_is_memory() -> None:
    assert isinstance(choose(None, {}), Memory)
    assert isinstance(choose(None, {BACKPLANE: ""}), Memory)


def test_the_environment_names_one_for_an_application_that_names_none() -> None:
    assert choose(None, {BACKPLANE: "sqlite:///chat.db"}).address == "sqlite:///chat.db"


def test_code_and_environment_may_say_the_same_and_nothing_else() -> None:
    given = SQLite("chat.db")
    assert choose(given, {}) is given
    assert choose(given, {BACKPLANE: "sqlite:///chat.db"}) is given
    with pytest.raises(StartupError, match=r"GATEWRIGHT_BACKPLANE names, memory:, got sqlite:///"):
        choose(given, {BACKPLANE: "memory:"})


def test_what_is_wrong_with_the_variable_is_said_of_the_variable() -> None:
    with pytest.raises(StartupError, match=r"^GATEWRIGHT_BACKPLANE: expected the URL"):
        choose(None, {BACKPLANE: "chat.db"})


@pytest.mark.parametrize("given", [None, Memory(), SQLite("chat.db")])
def test_several_workers_need_one_that_they_share(given: Memory | SQLite | None) -> None:
    for alone in ("", "1", "many"):
        choose(given, {WORKERS: alone})
    with pytest.raises(StartupError, match="expected one that 3 workers can share, got"):
        choose(given, {WORKERS: "3"})
    shared = Shared()
    assert choose(shared, {WORKERS: "3"}) is shared


@pytest.mark.anyio
async def test_an_application_asks_when_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @gateway("/chat")
    class Chat:
        @on("say")
        async def say(self) -> None: ...

    app = Gatewright(gateways=[Chat])
    file = tmp_path / "chat.db"
    monkeypatch.setenv(BACKPLANE, f"sqlite:///{file}")
    async with app.run():
        assert file.exists()
    monkeypatch.setenv(WORKERS, "2")
    with pytest.raises(StartupError, match="2 workers"):
        async with app.run():
            pytest.fail("it must not start")
    assert not app.running
