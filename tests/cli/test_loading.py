"""What `module:name` may be, and what is said where it is nothing."""

import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette

from gatewright.cli.loading import APP, FACTORY, NotLoadedError, application, brief, load
from gatewright.errors import StartupError
from tests.cli import app as programs

pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose modules can be imported, and are forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for file in tmp_path.glob("*.py"):
        sys.modules.pop(file.stem, None)


async def started(app: Any) -> list[Any]:
    """What an application says to the start of its lifespan."""
    said: list[Any] = []
    asked = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])

    async def receive() -> Any:
        return next(asked)

    async def send(message: Any) -> None:
        said.append(message)

    try:
        await app({"type": "lifespan", "asgi": {}, "state": {}}, receive, send)
    except Exception as error:
        said.append(error)
    return said


@pytest.mark.parametrize("name", ["app", "inside", "make"])
async def test_an_application_or_a_function_that_makes_one(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    served = load(f"tests.cli.app:{name}")
    assert [message["type"] for message in await started(served)] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]
    assert "started in" in capsys.readouterr().out


def test_an_application_that_hides_its_arguments_is_not_called() -> None:
    load("tests.cli.app:anything")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("main", "expected an application as module:name, such as main:app, got 'main'"),
        ("main:", "such as main:app, got 'main:'"),
        (":app", "such as main:app, got ':app'"),
        ("main.py:app", "such as main:app, got 'main.py:app'; a module is named as it is imported"),
        ("src/chat.py:app", "such as chat:app"),
        ("..chat:app", "a module is named as it is imported"),
        ("tests.cli.no:app", "got none of the name 'tests.cli.no'; --app-dir names"),
        ("nowhere.at.all:app", "got none of the name 'nowhere'"),
        ("tests.cli.app:no", "got a module without it; applications there: app, filed"),
        ("tests.cli.programs:no", "there is no application in it"),
        ("tests.cli.app:app.no", "expected 'app.no' in the module 'tests.cli.app'"),
        ("tests.cli.app:Chat", "expected an ASGI application, .* got the class Chat"),
        ("tests.cli.app:sys", "expected an ASGI application, .* got module"),
        ("tests.cli.app:make_later", "got an async one; what has to be awaited"),
    ],
)
def test_what_was_expected_and_what_came(target: str, message: str) -> None:
    with pytest.raises(NotLoadedError, match=message):
        load(target)


@pytest.mark.parametrize("name", ["app", "make_for", "Chat", "sys"])
def test_what_is_said_to_be_a_factory_has_to_be_one(name: str) -> None:
    with pytest.raises(NotLoadedError, match="expected a factory, a function without parameters"):
        load(f"tests.cli.app:{name}", factory=True)


def test_what_a_module_does_not_find_is_said_by_its_own_traceback(folder: Path) -> None:
    (folder / "lacking.py").write_text("import nowhere_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="nowhere_at_all"):
        load("lacking:app")


def test_a_worker_that_cannot_load_it_ends_in_a_way_that_ends_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong.py").write_text("app = 1 / 0\n")
    for target, said in [
        ("wrong:app", "ZeroDivisionError"),
        ("tests.cli.app:no", "expected 'no' in the module"),
        ("tests.cli.app:app", "expected a factory"),
    ]:
        monkeypatch.setenv(APP, target)
        monkeypatch.setenv(FACTORY, "1")
        with pytest.raises(SystemExit) as caught:
            application()
        assert caught.value.code == 3
        errors = capsys.readouterr().err
        assert said in errors
        assert ("Traceback" in errors) is (target == "wrong:app")


async def test_a_refused_start_is_its_reason_alone() -> None:
    reason = StartupError("Gatewright", expected="a\nthing", got="none", fix="Mend it.")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        programs.fail(reason)
        yield

    said = await started(brief(Starlette(lifespan=lifespan)))
    assert said == [{"type": "lifespan.startup.failed", "message": str(reason)}, reason]


async def test_any_other_failure_keeps_its_traceback() -> None:
    (failed, error) = await started(brief(programs.broken))
    assert failed["message"].startswith("Traceback")
    assert failed["message"].endswith(f"RuntimeError: {error}\n")


async def test_what_a_refusal_has_led_to_keeps_its_traceback() -> None:
    reason = StartupError("Gatewright", expected="a thing", got="none", fix="Mend it.")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        try:
            programs.fail(reason)
        except StartupError:
            programs.fail(KeyError("thing"))
        yield

    (failed, _) = await started(brief(Starlette(lifespan=lifespan)))
    assert "Mend it." in failed["message"]
    assert failed["message"].rstrip().endswith("KeyError: 'thing'")
