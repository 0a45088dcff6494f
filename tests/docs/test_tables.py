"""The reference tables are complete and say what the code says."""

import re

import msgspec
import pytest

from gatewright import ErrorCode, Rate, Settings
from gatewright.protocol.close import CloseCode
from gatewright.transports.socketio import SocketIO
from tests.docs.markdown import ROOT


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the table that begins with this row of headings."""
    lines = (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    begin = lines.index(heading) + 2
    found: list[list[str]] = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_every_setting_with_its_default() -> None:
    told = {
        cells[0].strip("`"): eval(cells[1].strip("`"), {"Rate": Rate})  # noqa: S307
        for cells in rows("settings.md", "| setting | default | meaning |")
    }
    assert told == msgspec.structs.asdict(Settings())
    assert list(told) == [field.name for field in msgspec.structs.fields(Settings)]


def test_every_option_of_the_socketio_door_with_its_default() -> None:
    told = {
        cells[0].strip("`"): eval(cells[1].strip("`"))  # noqa: S307
        for cells in rows("socketio.md", "| option | default | meaning |")
    }
    assert told == msgspec.structs.asdict(SocketIO())
    assert list(told) == [field.name for field in msgspec.structs.fields(SocketIO)]


def test_every_error_code() -> None:
    told = [cells[0].strip("`") for cells in rows("protocol.md", "| code | when |")]
    assert sorted(told) == sorted(ErrorCode)


def test_every_close_code_and_whether_to_reconnect() -> None:
    table = rows("protocol.md", "| code | means | connect again? |")
    told = {int(cells[0]): cells[2] for cells in table}
    assert told == {code.value: "yes" if code.reconnect else "no" for code in CloseCode}


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("a message", f"{Settings().max_frame:,} bytes"),
        ("open calls of a connection", f"{Settings().max_calls}"),
        ("rooms of a connection", f"{Settings().max_rooms}"),
        ("messages waiting for their handlers", f"{Settings().inbox}"),
        ("bytes waiting for the client's socket", f"{Settings().outbox // 2**20} MiB"),
        ("a socket that takes nothing", f"{Settings().stall:g} s"),
    ],
)
def test_the_limits_of_the_protocol_are_the_defaults(limit: str, value: str) -> None:
    told = {cells[0]: cells[1] for cells in rows("protocol.md", "| of | limit | over it |")}
    assert told[limit] == value


def test_security_names_settings_that_exist() -> None:
    text = "".join(cells[1] for cells in rows("security.md", "| against | limit | then |"))
    named = set(re.findall(r"`(\w+)`", text))
    assert named <= set(Settings.__struct_fields__)
    assert len(named) > 8
