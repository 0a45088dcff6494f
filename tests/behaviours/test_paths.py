import datetime
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import pytest
from msgspec import Meta

from gatewright import Connection, Context, Handshake, gateway, on, on_connect
from gatewright.testing import Refused, TestClient
from tests.behaviours.support import running

pytestmark = pytest.mark.anyio


class Colour(Enum):
    RED = "red"


@gateway("/int/{value}")
class Integers:
    @on("value")
    async def value(self, value: int) -> str:
        return repr(value)


@gateway("/text/{value}")
class Texts:
    @on("value")
    async def value(self, value: str) -> str:
        return repr(value)


@gateway("/float/{value}")
class Floats:
    @on("value")
    async def value(self, value: float) -> str:
        return repr(value)


@gateway("/uuid/{value}")
class Uuids:
    @on("value")
    async def value(self, value: UUID) -> str:
        return repr(value)


@gateway("/date/{value}")
class Dates:
    @on("value")
    async def value(self, value: datetime.date) -> str:
        return repr(value)


@gateway("/enum/{value}")
class Enums:
    @on("value")
    async def value(self, value: Colour) -> str:
        return repr(value)


@gateway("/literal/{value}")
class Literals:
    @on("value")
    async def value(self, value: Literal["a", "b"]) -> str:
        return repr(value)


@gateway("/small/{value}")
class Small:
    @on("value")
    async def value(self, value: Annotated[int, Meta(ge=1, le=9)]) -> str:
        return repr(value)


EVERY = (Integers, Texts, Floats, Uuids, Dates, Enums, Literals, Small)
KEY = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"


async def status(app: TestClient, path: str) -> int:
    with pytest.raises(Refused) as refused:
        async with app.connect(path):
            pytest.fail("it must not open")
    return refused.value.status


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("/int/7", "7"),
        ("/int/0", "0"),
        ("/int/-7", "-7"),
        ("/text/7", "'7'"),
        ("/text/caf%C3%A9", "'café'"),
        ("/text/a%20b", "'a b'"),
        ("/text/%2541", "'%41'"),
        ("/text/__proto__", "'__proto__'"),
        ("/float/1.5", "1.5"),
        (f"/uuid/{KEY}", f"UUID('{KEY}')"),
        ("/date/2026-11-23", "datetime.date(2026, 11, 23)"),
        ("/enum/red", "<Colour.RED: 'red'>"),
        ("/literal/b", "'b'"),
        ("/small/9", "9"),
    ],
)
async def test_a_path_parameter_is_decoded_and_converted_to_its_annotation(
    path: str, value: str
) -> None:
    async with running(*EVERY) as app, app.connect(path) as ana:
        assert await ana.call("value") == value


@pytest.mark.parametrize(
    "path",
    [
        "/int/seven",
        "/int/07",
        "/int/+7",
        "/int/7.0",
        "/int/-0",
        "/int/1_000",
        "/int/%207",
        "/int/%D9%A7",
        "/int/7/8",
        "/int/",
        "/int",
        "/float/1.50",
        "/float/1e3",
        "/float/nan1",
        f"/uuid/{KEY.upper()}",
        "/date/2026-2-3",
        "/enum/RED",
        "/enum/blue",
        "/literal/c",
        "/small/0",
        "/small/10",
        "/nowhere",
        "/",
        "/INT/7",
        "/int/7/",
    ],
)
async def test_a_path_that_is_not_exactly_a_namespaces_is_404(path: str) -> None:
    async with running(*EVERY) as app:
        assert await status(app, path) == 404


async def test_several_parameters_in_any_order_beside_the_payload() -> None:
    @gateway("/lab/{bench}/shelf/{shelf}")
    class Lab:
        @on("where")
        async def where(self, text: str, shelf: str, bench: int, times: int) -> list[object]:
            return [bench, shelf, text * times]

    async with running(Lab) as app, app.connect("/lab/7/shelf/top") as ana:
        assert await ana.call("where", "x", 2) == [7, "top", "xx"]


async def test_two_handlers_may_read_one_parameter_as_two_types() -> None:
    @gateway("/lab/{bench}")
    class Lab:
        @on("number")
        async def number(self, bench: int) -> int:
            return bench

        @on("text")
        async def text(self, bench: str) -> str:
            return bench

    async with running(Lab) as app:
        async with app.connect("/lab/7") as ana:
            assert [await ana.call("number"), await ana.call("text")] == [7, "7"]
        assert await status(app, "/lab/x") == 404


async def test_hooks_context_and_handshake_know_the_path() -> None:
    seen: list[object] = []

    @gateway("/lab/{bench}")
    class Lab:
        @on_connect
        async def connected(self, connection: Connection, bench: int, context: Context) -> None:
            seen.extend((connection.namespace, bench, dict(context.path)))

        @on("path")
        async def path(self, handshake: Handshake) -> dict[str, str]:
            return dict(handshake.path)

    async with running(Lab) as app, app.connect("/lab/7") as ana:
        assert await ana.call("path") == {"bench": "7"}
    assert seen == ["/lab/7", 7, {"bench": "7"}]


async def test_namespaces_of_two_parameters_do_not_mix() -> None:
    @gateway("/lab/{bench}")
    class Lab:
        @on("join")
        async def join(self, connection: Connection) -> int:
            await connection.join("lobby")
            return 0

    async with running(Lab) as app, app.connect("/lab/1") as ana, app.connect("/lab/2") as ben:
        await ana.call("join")
        await ben.call("join")
        emitter = app.app.emitter.of("/lab/{bench}", bench=1)
        assert await emitter.count() == await emitter.to("lobby").count() == 1


async def test_a_literal_path_wins_over_a_parameter_whatever_the_order() -> None:
    @gateway("/lab/{bench}")
    class Lab:
        @on("which")
        async def which(self, bench: str) -> str:
            return bench

    @gateway("/lab/main")
    class Main:
        @on("which")
        async def which(self) -> str:
            return "the main one"

    for gateways in ((Lab, Main), (Main, Lab)):
        async with running(*gateways) as app:
            async with app.connect("/lab/main") as ana:
                assert await ana.call("which") == "the main one"
            async with app.connect("/lab/7") as ana:
                assert await ana.call("which") == "7"
