import asyncio
from typing import Any

import pytest
from msgspec import Struct

from gatewright import CallTimeout, Connection, Emitter, Event, EventError, Settings, gateway, on
from gatewright.testing import TestConnection
from tests.behaviours.support import ends, running, until

pytestmark = pytest.mark.anyio


class Ask(Event, event="ask"):
    what: str


class Vote(Struct):
    yes: bool


@gateway("/c", emits=[Ask])
class Callers:
    @on("ask me")
    async def ask_me(self, connection: Connection, what: str) -> int:
        return await connection.call(Ask(what), int)

    @on("ask all")
    async def ask_all(self, emitter: Emitter) -> list[bool]:
        votes = await emitter.call(Ask("agreed?"), Vote)
        return [vote.yes for vote in votes]

    @on("hi")
    async def hi(self) -> str:
        return "hi"


async def asked(connection: TestConnection) -> dict[str, Any]:
    return await connection.receive(lambda frame: frame.get("event") == "ask")


async def test_the_server_asks_a_client_and_gets_its_answer_as_a_type() -> None:
    async with running(Callers) as app, app.connect("/c") as ana:
        await ana.send({"event": "ask me", "data": "how many?", "id": 1})
        question = await asked(ana)
        assert question["data"] == {"what": "how many?"}
        await ana.answer(question, 3)
        assert await ana.receive() == {"id": 1, "data": 3}


async def test_an_answer_of_another_type_is_invalid() -> None:
    async with running(Callers) as app, app.connect("/c") as ana:
        await ana.send({"event": "ask me", "data": "how many?", "id": 1})
        await ana.answer(await asked(ana), "three")
        assert (await ana.receive())["error"]["code"] == "invalid"


async def test_an_answer_may_be_an_error() -> None:
    async with running(Callers) as app, app.connect("/c") as ana:
        await ana.send({"event": "ask me", "data": "how many?", "id": 1})
        error = {"code": "busy", "message": "later", "details": [1]}
        await ana.send({"id": (await asked(ana))["id"], "error": error})
        assert await ana.receive() == {"id": 1, "error": error}


async def test_a_malformed_error_of_a_client_is_invalid() -> None:
    async with running(Callers) as app, app.connect("/c") as ana:
        await ana.send({"event": "ask me", "data": "how many?", "id": 1})
        await ana.send({"id": (await asked(ana))["id"], "error": "no"})
        assert (await ana.receive())["error"]["code"] == "invalid"


async def test_everyone_is_asked_and_all_answers_come_back() -> None:
    async with (
        running(Callers) as app,
        app.connect("/c") as ana,
        app.connect("/c", codec="msgpack") as ben,
    ):
        await ana.send({"event": "ask all", "id": 1})
        first, second = await asked(ana), await asked(ben)
        assert first["id"] == second["id"]
        await ben.answer(second, Vote(yes=False))
        await ben.call("hi")
        await ana.answer(first, Vote(yes=True))
        assert await ana.receive() == {"id": 1, "data": [False, True]}


async def test_asking_nobody_answers_nothing() -> None:
    async with running(Callers) as app:
        assert list(await app.app.emitter.of("/c").call(Ask("?"), int)) == []


async def test_who_stays_silent_makes_a_timeout_with_the_answers_that_came() -> None:
    async with running(Callers) as app, app.connect("/c") as ana, app.connect("/c") as ben:
        emitter = app.app.emitter.of("/c")
        _, silent_id = await emitter.members()
        asking = asyncio.create_task(emitter.call(Ask("?"), int, timeout=0.05))
        await ana.answer(await asked(ana), 1)
        await asked(ben)
        with pytest.raises(CallTimeout, match="1 of 2 receivers") as caught:
            await asking
        assert (caught.value.code, caught.value.answers) == ("timeout", [1])
        assert caught.value.missing == [silent_id]
        assert len(app.app._dispatcher.node.calls) == 0  # type: ignore[union-attr]


async def test_the_default_timeout_is_a_setting_and_the_handlers_error() -> None:
    settings = Settings(call_timeout=0.01)
    async with running(Callers, settings=settings) as app, app.connect("/c") as ana:
        assert (await ends(ana, "ask me", "?")).code == "timeout"


async def test_an_answer_that_comes_too_late_is_passed_over() -> None:
    settings = Settings(call_timeout=0.01)
    async with running(Callers, settings=settings) as app, app.connect("/c") as ana:
        await ends(ana, "ask me", "?")
        await ana.answer(await asked(ana), 3)
        assert await ana.call("hi") == "hi"
        assert ana.received() == []


async def test_a_receiver_that_leaves_is_not_waited_for() -> None:
    async with running(Callers) as app, app.connect("/c") as ana:
        emitter = app.app.emitter.of("/c")
        async with app.connect("/c") as ben:
            ids = await emitter.members()
            asking = asyncio.create_task(emitter.call(Ask("?"), int))
            await ana.answer(await asked(ana), 1)
            await asked(ben)
            ben.drop()
            answers = await asking
        assert list(answers) == [1]
        assert {each: error.code for each, error in answers.errors.items()} == {
            ids[1]: "interrupted"
        }


async def test_a_connection_that_leaves_interrupts_its_call() -> None:
    async with running(Callers) as app:
        async with app.connect("/c") as ana:
            emitter = app.app.emitter.of("/c")
            (connection,) = app.app._dispatcher.node.namespaces["/c"].members.values()  # type: ignore[union-attr]
            assert isinstance(connection, Connection)
            asking = asyncio.create_task(connection.call(Ask("?"), int))
            await asked(ana)
        with pytest.raises(EventError, match="interrupted"):
            await asking
        with pytest.raises(EventError, match="interrupted"):
            await connection.call(Ask("?"), int)
        assert await emitter.count() == 0


async def test_nobody_answers_for_somebody_else() -> None:
    async with running(Callers) as app, app.connect("/c") as ana, app.connect("/c") as eve:
        await ana.send({"event": "ask me", "data": "how many?", "id": 1})
        question = await asked(ana)
        await eve.answer(question, 666)
        await eve.call("hi")
        await ana.answer(question, 3)
        assert await ana.receive() == {"id": 1, "data": 3}


async def test_the_first_answer_counts() -> None:
    async with running(Callers) as app, app.connect("/c") as ana:
        await ana.send({"event": "ask me", "data": "how many?", "id": 1})
        question = await asked(ana)
        await ana.answer(question, 1)
        await ana.answer(question, 2)
        assert await ana.receive() == {"id": 1, "data": 1}


async def test_errors_of_some_receivers_stand_beside_the_answers_of_others() -> None:
    async with running(Callers) as app, app.connect("/c") as ana, app.connect("/c") as ben:
        emitter = app.app.emitter.of("/c")
        ids = await emitter.members()
        asking = asyncio.create_task(emitter.call(Ask("?"), int))
        await ana.send({"id": (await asked(ana))["id"], "error": {"code": "no"}})
        await ben.answer(await asked(ben), 2)
        answers = await asking
        assert list(answers) == [2]
        assert answers.errors[ids[0]].code == "no"


async def test_a_call_that_is_cancelled_is_forgotten() -> None:
    async with running(Callers) as app, app.connect("/c") as ana:
        await ana.send({"event": "ask me", "data": "?", "id": 1})
        await asked(ana)
        calls = app.app._dispatcher.node.calls  # type: ignore[union-attr]
        assert len(calls) == 1
        await ana.send({"op": "cancel", "id": 1})
        await ana.receive()
        await until(lambda: len(calls) == 0)


async def test_a_client_without_an_answers_data_answers_null() -> None:
    @gateway("/n", emits=[Ask])
    class Nulls:
        @on("ask me")
        async def ask_me(self, connection: Connection) -> str:
            return repr(await connection.call(Ask("?"), None))

    async with running(Nulls) as app, app.connect("/n") as ana:
        await ana.send({"event": "ask me", "id": 1})
        await ana.send({"id": (await asked(ana))["id"]})
        assert await ana.receive() == {"id": 1, "data": "None"}
