import pytest
from msgspec import Struct

from gatewright import Connection, DisconnectReason, State, gateway, on, on_connect, on_disconnect
from tests.behaviours.support import ends, running

pytestmark = pytest.mark.anyio


class Draft(Struct, frozen=True):
    text: str = ""
    edits: int = 0


LAST: list[Draft] = []


@gateway("/state")
class Drafts:
    @on("edit")
    async def edit(self, connection: Connection, draft: State[Draft], text: str) -> int:
        await connection.save(Draft(text, draft.edits + 1))
        return draft.edits

    @on("read")
    async def read(self, draft: State[Draft]) -> Draft:
        return draft

    @on("wrong")
    async def wrong(self, connection: Connection) -> None:
        await connection.save({"text": "x"})  # type: ignore[arg-type]

    @on_disconnect
    async def left(self, draft: State[Draft], reason: DisconnectReason) -> None:
        LAST.append(draft)


async def test_state_starts_with_its_defaults_and_is_replaced_by_save() -> None:
    async with running(Drafts) as app, app.connect("/state") as ana:
        assert await ana.call("read", reply=Draft) == Draft()
        assert await ana.call("edit", "one") == 0
        assert await ana.call("edit", "two") == 1
        assert await ana.call("read", reply=Draft) == Draft("two", 2)


async def test_state_belongs_to_its_connection() -> None:
    async with (
        running(Drafts) as app,
        app.connect("/state") as ana,
        app.connect("/state") as ben,
    ):
        await ana.call("edit", "mine")
        assert await ben.call("read", reply=Draft) == Draft()


async def test_state_is_there_in_the_disconnect_hook() -> None:
    LAST.clear()
    async with running(Drafts) as app, app.connect("/state") as ana:
        await ana.call("edit", "last words")
    assert [Draft("last words", 1)] == LAST


async def test_saving_another_type_is_a_mistake_that_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(Drafts) as app, app.connect("/state") as ana:
        assert (await ends(ana, "wrong")).code == "internal"
    assert "expected Draft, got dict" in caplog.text


async def test_saving_where_no_state_is_declared_is_a_mistake_that_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @gateway("/none")
    class Stateless:
        @on("save")
        async def save(self, connection: Connection) -> None:
            await connection.save(Draft())

    async with running(Stateless) as app, app.connect("/none") as ana:
        assert (await ends(ana, "save")).code == "internal"
    assert "a State[T] parameter" in caplog.text


async def test_two_gateways_of_a_namespace_share_the_state() -> None:
    @gateway("/state")
    class Greets:
        @on_connect
        async def connected(self, connection: Connection) -> None:
            await connection.save(Draft("welcome"))

        @on("peek")
        async def peek(self, draft: State[Draft]) -> str:
            return draft.text

    async with running(Greets, Drafts) as app, app.connect("/state") as ana:
        assert await ana.call("peek") == "welcome"
        await ana.call("edit", "changed")
        assert await ana.call("peek") == "changed"
