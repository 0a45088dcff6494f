"""Miaou's gateway, through the real door and a real database."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatewright import EventError
from gatewright.testing import TestClient, TestConnection
from sample_app.app import make_realtime
from sample_app.miaou.database import open_database
from sample_app.miaou.events import Left, RoomOpened, Said, Typing, Welcome
from sample_app.miaou.models import Message, Page, Person, Room, ToPerson, ToRoom
from sample_app.miaou.repositories import Messages

pytestmark = pytest.mark.anyio

SOFA = {"kind": "room", "id": 1}


@pytest.fixture
async def client(path: Path) -> AsyncIterator[TestClient]:
    async with TestClient(make_realtime(path)) as running:
        yield running


async def register(connection: TestConnection, nickname: str, secret: str = "") -> Welcome:
    registration = {"nickname": nickname, "secret": (secret or nickname).ljust(16, "*")}
    return await connection.call("register", registration, reply=Welcome)


async def say(connection: TestConnection, to: dict[str, Any], text: str) -> Message:
    payload = {"to": to, "text": text, "key": text.ljust(16, "*")}
    return await connection.call("say", payload, reply=Message)


async def changed(connection: TestConnection, how: str, room: int = 1) -> list[str]:
    """Who joined or left a room, the next time that somebody did."""

    def matches(frame: dict[str, Any]) -> bool:
        if frame["event"] != "presence:diff":
            return False
        return bool(frame["data"]["room"] == f"room {room}" and frame["data"][how])

    diff = (await connection.receive(matches))["data"]
    return [each["meta"][-1]["nickname"] for each in diff[how]]


async def here(connection: TestConnection, room: int = 1) -> list[str]:
    return [person.nickname for person in await connection.call("join", room, reply=list[Person])]


async def test_who_registers_is_on_the_sofa(client: TestClient) -> None:
    async with client.connect("/miaou") as ana:
        welcome = await register(ana, " Ana ")
        assert welcome.me.nickname == "Ana"
        assert [(v.room, v.joined, v.unread) for v in welcome.rooms] == [
            (Room(1, "The sofa"), True, 0)
        ]
        assert welcome.talks == []
        with pytest.raises(EventError, match=r"^registered: You are “Ana”"):
            await register(ana, "Anita")


async def test_a_taken_nickname_is_an_error_that_explains(client: TestClient) -> None:
    async with client.connect("/miaou") as ana, client.connect("/miaou") as other:
        await register(ana, "Ana")
        with pytest.raises(EventError, match=r"^taken: “ana” is here already"):
            await register(other, "ana", "another secret")
        await register(other, "Ben")
    async with client.connect("/miaou") as later:
        await register(later, "Ana", "another secret")


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("say", {"to": SOFA, "text": "hi", "key": "k" * 16}),
        ("create", {"name": "Balcony"}),
        ("join", 1),
        ("leave", 1),
        ("history", {"to": SOFA}),
        ("read", {"to": SOFA, "message": 1}),
        ("typing", SOFA),
    ],
)
async def test_nobody_acts_without_a_nickname(client: TestClient, event: str, data: Any) -> None:
    async with client.connect("/miaou") as nobody:
        with pytest.raises(EventError) as refused:
            await nobody.call(event, data)
        assert (refused.value.code, refused.value.message) == (
            "unregistered",
            "Please choose a nickname first.",
        )


@pytest.mark.parametrize(
    ("event", "data", "where"),
    [
        ("register", {"nickname": 7, "secret": "x" * 16}, "$.nickname"),
        ("register", {"nickname": "Ana", "secret": "short"}, "$.secret"),
        ("say", {"to": {"kind": "cellar", "id": 1}, "text": "", "key": "k" * 16}, "$.to.kind"),
        ("say", {"to": SOFA, "text": "x" * 8001, "key": "k" * 16}, "$.text"),
        ("history", {"to": SOFA, "before": 0}, "$.before"),
        ("join", -1, "$"),
    ],
)
async def test_payloads_are_checked(client: TestClient, event: str, data: Any, where: str) -> None:
    async with client.connect("/miaou") as ana:
        if event != "register":
            await register(ana, "Ana")
        with pytest.raises(EventError) as refused:
            await ana.call(event, data)
        assert refused.value.code == "invalid"
        assert refused.value.details == {"path": where}


async def test_what_is_said_reaches_the_room(client: TestClient) -> None:
    async with (
        client.connect("/miaou") as ana,
        client.connect("/miaou") as ben,
        client.connect("/miaou") as nobody,
    ):
        await register(ana, "Ana")
        await register(ben, "Ben")
        said = await say(ana, SOFA, "hello")
        assert (await ben.expect(Said)).message == said
        assert (await ana.expect(Said)).message == said
        with pytest.raises(EventError, match="unregistered"):
            await here(nobody)
        assert nobody.received() == []


async def test_a_message_sent_again_is_told_once(client: TestClient) -> None:
    async with client.connect("/miaou") as ana, client.connect("/miaou") as ben:
        await register(ana, "Ana")
        await register(ben, "Ben")
        first = await say(ana, SOFA, "hello")
        assert await say(ana, SOFA, "hello") == first
        await say(ana, SOFA, "more")
        assert [(await ben.expect(Said)).message.text for _ in range(2)] == ["hello", "more"]


async def test_rooms_are_opened_joined_and_left(client: TestClient) -> None:
    async with client.connect("/miaou") as ana, client.connect("/miaou") as ben:
        await register(ana, "Ana")
        await register(ben, "Ben")
        room = await ana.call("create", {"name": "Balcony"}, reply=Room)
        assert (await ben.expect(RoomOpened)).room == room
        place = {"kind": "room", "id": room.id}
        with pytest.raises(EventError, match="Please join this room first"):
            await say(ben, place, "hello?")

        assert await here(ben, room.id) == ["Ana", "Ben"]
        assert await changed(ana, "joined", room.id) == ["Ben"]
        await say(ben, place, "hello!")
        assert (await ana.expect(Said)).message.text == "hello!"

        await ben.call("leave", room.id)
        assert await changed(ana, "left", room.id) == ["Ben"]
        assert await ben.expect(Left) == Left(room.id)
        await say(ana, place, "alone again")
        await say(ana, SOFA, "on the sofa")
        assert (await ben.expect(Said)).message.text == "hello!"
        assert (await ben.expect(Said)).message.text == "on the sofa"
        with pytest.raises(EventError, match="does not exist"):
            await ben.call("join", 4711)


async def test_who_is_here(client: TestClient) -> None:
    async with client.connect("/miaou") as ana:
        await register(ana, "Ana")
        async with client.connect("/miaou") as ben:
            await register(ben, "Ben")
            assert await changed(ana, "joined") == ["Ben"]
            assert await here(ana) == ["Ana", "Ben"]
            state = await ben.expect("presence:state")
            assert [each["meta"][0]["nickname"] for each in state["people"]] == ["Ana", "Ben"]
        assert await changed(ana, "left") == ["Ben"]
        assert await here(ana) == ["Ana"]


async def test_a_person_with_two_pages_comes_and_goes_once(client: TestClient) -> None:
    async with client.connect("/miaou") as ana:
        await register(ana, "Ana")
        async with client.connect("/miaou") as ben:
            await register(ben, "Ben")
            assert await changed(ana, "joined") == ["Ben"]
            async with client.connect("/miaou") as second:
                await register(second, "Ben")
                assert await here(ana) == ["Ana", "Ben"]
            assert await here(ana) == ["Ana", "Ben"]
        assert await changed(ana, "left") == ["Ben"]
        diffs = [f["data"] for f in ana.received() if f["event"] == "presence:diff"]
        assert not any(diff["joined"] or diff["left"] for diff in diffs)


async def test_who_is_cut_off_is_still_here(client: TestClient) -> None:
    auth = {"secret": "Ben".ljust(16, "*")}
    async with client.connect("/miaou") as ana:
        await register(ana, "Ana")
        async with client.connect("/miaou", session=True, auth=auth) as ben:
            await register(ben, "Ben")
            assert await changed(ana, "joined") == ["Ben"]
        assert await here(ana) == ["Ana", "Ben"]
        async with client.connect("/miaou", resume=ben, auth=auth) as ben:
            assert len((await ben.expect("presence:state"))["people"]) == 2
            await ben.bye()
        assert await changed(ana, "left") == ["Ben"]
        assert [frame["event"] for frame in ana.received()] == ["presence:state"]


async def test_leaving_is_for_all_pages(client: TestClient) -> None:
    async with client.connect("/miaou") as one, client.connect("/miaou") as two:
        await register(one, "Ben")
        await register(two, "Ben")
        await one.call("leave", 1)
        assert await two.expect(Left) == Left(1)
        with pytest.raises(EventError, match="join this room first"):
            await say(two, SOFA, "hm")


async def test_typing_is_for_the_others_in_the_room(client: TestClient) -> None:
    async with client.connect("/miaou") as ana, client.connect("/miaou") as ben:
        me = (await register(ana, "Ana")).me
        await register(ben, "Ben")
        room = await ben.call("create", {"name": "Balcony"}, reply=Room)
        await ana.emit("typing", {"kind": "room", "id": room.id})
        await ana.emit("typing", SOFA)
        assert await ben.expect(Typing) == Typing(ToRoom(1), me), "she is not on the balcony"
        await here(ana)
        assert not [f for f in ana.received() if f.get("event") == "typing"]


async def test_private_messages_are_for_two(client: TestClient) -> None:
    async with (
        client.connect("/miaou") as ana,
        client.connect("/miaou") as ben,
        client.connect("/miaou") as bens_phone,
        client.connect("/miaou") as leo,
    ):
        anas = (await register(ana, "Ana")).me
        bens = (await register(ben, "Ben")).me
        await register(bens_phone, "Ben")
        await register(leo, "Leo")

        to_ben = {"kind": "person", "id": bens.id}
        await ana.emit("typing", to_ben)
        assert await ben.expect(Typing) == Typing(ToPerson(bens.id), anas)
        said = await say(ana, to_ben, "psst")
        for page in (ana, ben, bens_phone):
            assert (await page.expect(Said)).message == said
        query = {"to": {"kind": "person", "id": anas.id}}
        assert (await ben.call("history", query, reply=Page)).messages == [said]
        assert (await leo.call("history", query, reply=Page)).messages == []
        assert not [f for f in leo.received() if f["event"] in ("said", "typing")]


async def test_everything_is_there_after_a_restart(path: Path) -> None:
    async with TestClient(make_realtime(path)) as client:
        async with client.connect("/miaou") as ana, client.connect("/miaou") as ben:
            me = (await register(ana, "Ana")).me
            bens = (await register(ben, "Ben")).me
            room = await ana.call("create", {"name": "Balcony"}, reply=Room)
            first = await say(ana, SOFA, "first")
            await ben.call("read", {"to": SOFA, "message": first.id})
        async with client.connect("/miaou") as ana:
            await register(ana, "Ana")
            missed = await say(ana, SOFA, "while you were away")
            await say(ana, {"kind": "person", "id": bens.id}, "psst")

    async with TestClient(make_realtime(path)) as client, client.connect("/miaou") as ben:
        welcome = await register(ben, "Ben")
        assert welcome.me == bens
        assert [(v.room.name, v.joined, v.unread) for v in welcome.rooms] == [
            (room.name, False, 0),
            ("The sofa", True, 1),
        ]
        assert [(talk.person, talk.unread) for talk in welcome.talks] == [(me, 1)]
        page = await ben.call("history", {"to": SOFA, "after": first.id}, reply=Page)
        assert page == Page([missed], more=False)


async def test_a_flood_is_refused(client: TestClient) -> None:
    async with client.connect("/miaou") as ana:
        await register(ana, "Ana")
        for n in range(50):
            payload = {"to": SOFA, "text": f"spam {n}", "key": f"{n}".zfill(16)}
            await ana.send({"event": "say", "data": payload, "id": 1000 + n})
        refused = await ana.receive(lambda frame: "error" in frame)
        assert refused["error"]["code"] == "too_many"
        kept = await ana.call("history", {"to": SOFA}, reply=Page)
        assert 0 < len(kept.messages) < 50


async def test_what_a_killed_process_has_kept_the_next_one_tells(path: Path) -> None:
    auth = {"secret": "Ben".ljust(16, "*")}
    async with TestClient(make_realtime(path)) as client:
        async with client.connect("/miaou", session=True, auth=auth) as ben:
            him = (await register(ben, "Ben")).me
        async with client.connect("/miaou") as ana:
            her = (await register(ana, "Ana")).me
    async with open_database(path) as database:
        # As if it had been killed between the two halves of `say`.
        messages = Messages(database)
        said, _ = await messages.add(her, ToRoom(1), "are you there?", 1, "one")
        private, _ = await messages.add(her, ToPerson(him.id), "psst", 2, "two")
    async with (
        TestClient(make_realtime(path)) as client,
        client.connect("/miaou", resume=ben, auth=auth) as back,
    ):
        assert back.resumed
        assert [await back.expect(Said), await back.expect(Said)] == [Said(said), Said(private)]
    async with (
        TestClient(make_realtime(path)) as client,
        client.connect("/miaou", resume=back, auth=auth) as again,
    ):
        assert again.resumed
        await here(again)
        assert [frame for frame in again.received() if frame["event"] == "said"] == []
