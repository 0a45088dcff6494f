"""What is declared, and what is refused before anything runs."""

import subprocess
import sys
from typing import Any

import msgspec
import pytest
from msgspec import json

from gatewright import Gatewright, gateway, on
from gatewright.errors import StartupError
from gatewright.inspector import Admin, hash_password
from gatewright.inspector.passwords import matches
from tests.docs.test_tables import rows
from tests.inspector.lab import HASH, PASSWORD


@gateway("/chat")
class Chat:
    @on("say")
    async def say(self, text: str) -> None: ...


TABLE = "| `Admin(…)` | default | meaning |"
ADMIN = Admin(username="admin", password_hash=HASH)


def test_it_is_off_unless_asked_for() -> None:
    app = Gatewright(gateways=[Chat])
    assert "/admin" not in app._blueprint.namespaces
    assert "/admin" in Gatewright(gateways=[Chat], admin=ADMIN)._blueprint.namespaces


@pytest.mark.parametrize(
    "secret", ["correct horse", "", "$2b$12$short", "$1$salt$hash", "$2b$99$" + "a" * 53]
)
def test_a_password_that_is_not_hashed_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(StartupError, match="expected a bcrypt hash") as refused:
        Admin(username="admin", password_hash=secret)
    assert "hash_password" in str(refused.value)
    assert not secret or secret not in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("username", ""), ("namespace", "admin"), ("namespace", "/{any}"), ("mode", "verbose")],
)
def test_what_makes_no_sense_is_refused(field: str, value: Any) -> None:
    options: dict[str, Any] = {"username": "admin", "password_hash": HASH, field: value}
    with pytest.raises(StartupError, match=rf"Admin\({field}=…\): expected"):
        Admin(**options)


def test_its_hash_is_not_shown() -> None:
    assert HASH not in repr(ADMIN)
    assert "admin" in repr(ADMIN)


def test_it_needs_the_socketio_door() -> None:
    with pytest.raises(StartupError, match=r"expected the Socket\.IO door"):
        Gatewright(gateways=[Chat], admin=ADMIN, socketio=None)


def test_its_namespace_is_its_own() -> None:
    beside = Admin(username="admin", password_hash=HASH, namespace="/chat")
    with pytest.raises(StartupError, match="expected AdminGateway alone") as refused:
        Gatewright(gateways=[Chat], admin=beside)
    assert "Chat" in str(refused.value)


@pytest.mark.anyio
async def test_a_password_matches_its_hash() -> None:
    hashed = hash_password(PASSWORD)
    Admin(username="admin", password_hash=hashed)
    assert await matches(PASSWORD, hashed)
    assert not await matches(PASSWORD + "!", hashed)
    assert not await matches("", hashed)


@pytest.mark.parametrize("password", ["", "x" * 73, "é" * 37])
def test_a_password_that_bcrypt_would_cut_is_refused(password: str) -> None:
    with pytest.raises(ValueError, match="of 1 to 72 bytes"):
        hash_password(password)


def test_without_bcrypt_the_error_names_the_extra_and_the_rest_works() -> None:
    program = """
import sys
sys.modules["bcrypt"] = None
import gatewright
try:
    import gatewright.inspector
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert "pip install 'gatewright[admin]'" in done.stdout


def test_its_page_tells_every_option_with_its_default() -> None:
    told = [(cells[0].strip("`"), cells[1].strip("`")) for cells in rows("admin.md", TABLE)]
    defaults = [
        (field.name, "" if field.required else json.encode(field.default).decode())
        for field in msgspec.structs.fields(Admin)
    ]
    as_written = {"False": "false", "None": "null"}
    assert [(name, as_written.get(default, default)) for name, default in told] == defaults
