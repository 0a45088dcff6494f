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


def test_every_option_of_the_javascript_client_with_its_default() -> None:
    table = rows("client-javascript.md", "| option | default | |")
    told = {
        name: cells[1].split(", ")[number] if ", " in cells[1] else cells[1]
        for cells in table
        for number, name in enumerate(re.findall(r"`(\w+)`", cells[0]))
    }
    source = ROOT / "framework" / "client-js" / "src"
    options = (source / "types.ts").read_text(encoding="utf-8").partition("interface Options {")[2]
    assert list(told) == re.findall(r"^  (\w+)\?:", options.partition("\n}")[0], re.MULTILINE)
    code = "".join(file.read_text(encoding="utf-8") for file in source.glob("*.ts"))
    defaults = dict(re.findall(r"(\w+)(?: = | \?\? )([\d_]+)\b", code))
    numbers = {name: value for name, value in told.items() if value.isdigit()}
    assert numbers == {name: defaults[name].replace("_", "") for name in numbers}
    assert len(numbers) == 4


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
