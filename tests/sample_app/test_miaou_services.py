"""Miaou's rules, upon a real database."""

import asyncio

import aiosqlite
import pytest

from sample_app.miaou.errors import (
    Invalid,
    NicknameTaken,
    NoSuchPerson,
    NoSuchRoom,
    NotAMember,
    RoomTaken,
    TooManyRooms,
)
from sample_app.miaou.models import ToPerson, ToRoom
from sample_app.miaou.services import MAX_ROOMS, PAGE, SOFA, TEXT_LENGTH, Chat, People, by_nickname

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("other", ["Ana", "ANA", "  ana ", "Ａｎａ"])
async def test_a_nickname_is_one_persons_at_a_time(people: People, other: str) -> None:
    await people.register("c1", "Ana", "her secret")
    with pytest.raises(NicknameTaken, match="is here already"):
        await people.register("c2", other, "another secret")
    people.release("c1")
    await people.register("c2", other, "another secret")


async def test_the_same_person_may_be_here_twice(people: People) -> None:
    first = await people.register("c1", "Ana", "secret")
    assert await people.register("c2", "ana", "secret") == type(first)(first.id, "ana")
    people.release("c1")
    with pytest.raises(NicknameTaken):
        await people.register("c3", "Ana", "another")
    people.release("c2")
    await people.register("c3", "Ana", "another")


async def test_of_two_who_ask_at_once_one_gets_the_nickname(people: People) -> None:
    both = [people.register(f"c{n}", "Ana", f"secret {n}") for n in range(2)]
    results = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NicknameTaken", "Person"]


async def test_a_registration_that_failed_holds_nothing(
    people: People, database: aiosqlite.Connection
) -> None:
    await database.execute("ALTER TABLE person RENAME TO away")
    with pytest.raises(aiosqlite.OperationalError):
        await people.register("c1", "Ana", "secret")
    await database.execute("ALTER TABLE away RENAME TO person")
    assert (await people.register("c2", "Ana", "another")).nickname == "Ana"


@pytest.mark.parametrize(
    "nickname", ["", "   ", "x" * 25, "a\x00b", "a\u202eb", "zero\u200bwidth", "\ud800"]
)
async def test_nicknames_that_are_refused(people: People, nickname: str) -> None:
    with pytest.raises(Invalid, match="A nickname has"):
        await people.register("c1", nickname, "secret")


@pytest.mark.parametrize("nickname", ["A", "Zoë", "漢字", "<b>bold</b>", "🐱", "x" * 24])
async def test_nicknames_that_are_fine(people: People, nickname: str) -> None:
    assert (await people.register("c1", nickname, "secret")).nickname == nickname


async def test_who_is_behind_connections(people: People) -> None:
    ben = await people.register("c1", "Ben", "b")
    ana = await people.register("c2", "ana", "a")
    assert by_nickname([ben, ana]) == [ana, ben]
    assert people.who("c1") == ben
    assert people.release("c1") == ben
    assert people.release("c1") is None
    assert people.who("c1") is None


async def test_everyone_starts_on_the_sofa(people: People, chat: Chat) -> None:
    ana = await people.register("c1", "Ana", "a")
    (sofa,) = await chat.rooms(ana)
    assert (sofa.room.id, sofa.joined) == (SOFA, True)
    balcony = await chat.open_room(ana, "Balcony")
    await chat.leave(ana, SOFA)
    assert {view.room.id: view.joined for view in await chat.rooms(ana)} == {
        SOFA: False,
        balcony.id: True,
    }


async def test_rooms_have_one_name_each(people: People, chat: Chat) -> None:
    ana = await people.register("c1", "Ana", "a")
    await chat.open_room(ana, " Balcony  with view ")
    with pytest.raises(RoomTaken, match="Balcony with VIEW"):
        await chat.open_room(ana, "Balcony with VIEW")
    with pytest.raises(Invalid, match="A room's name has"):
        await chat.open_room(ana, " ")


async def test_there_is_an_end_to_rooms(people: People, chat: Chat) -> None:
    ana = await people.register("c1", "Ana", "a")
    for n in range(MAX_ROOMS - 1):
        await chat.open_room(ana, f"room {n}")
    with pytest.raises(TooManyRooms):
        await chat.open_room(ana, "one more")


async def test_a_room_is_for_its_members(people: People, chat: Chat) -> None:
    ana = await people.register("c1", "Ana", "a")
    ben = await people.register("c2", "Ben", "b")
    room = await chat.open_room(ana, "Balcony")
    with pytest.raises(NotAMember):
        await chat.say(ben, ToRoom(room.id), "hi", "key")
    with pytest.raises(NotAMember):
        await chat.history(ben, ToRoom(room.id), None, None)
    with pytest.raises(NoSuchRoom):
        await chat.join(ben, room.id + 1)
    await chat.join(ben, room.id)
    said, new = await chat.say(ben, ToRoom(room.id), "  hi\n", "key")
    assert (said.text, new) == ("hi", True)


async def test_what_cannot_be_said(people: People, chat: Chat) -> None:
    ana = await people.register("c1", "Ana", "a")
    await chat.rooms(ana)
    with pytest.raises(Invalid, match="nothing to send"):
        await chat.say(ana, ToRoom(SOFA), " \n ", "key")
    with pytest.raises(Invalid, match=r"at most 2000 characters; this one has 2001"):
        await chat.say(ana, ToRoom(SOFA), "x" * (TEXT_LENGTH + 1), "key")
    with pytest.raises(Invalid, match="oneself"):
        await chat.say(ana, ToPerson(ana.id), "hi", "key")
    with pytest.raises(NoSuchPerson):
        await chat.say(ana, ToPerson(ana.id + 1), "hi", "key")


async def test_private_messages_wait_for_who_is_away(people: People, chat: Chat) -> None:
    ana = await people.register("c1", "Ana", "a")
    ben = await people.register("c2", "Ben", "b")
    people.release("c2")
    said, _ = await chat.say(ana, ToPerson(ben.id), "psst", "key")

    assert [(talk.person, talk.unread) for talk in await people.talks(ben)] == [(ana, 1)]
    assert (await chat.history(ben, ToPerson(ana.id), None, None)).messages == [said]
    await chat.mark_read(ben, ToPerson(ana.id), said.id)
    assert [talk.unread for talk in await people.talks(ben)] == [0]


async def test_who_takes_a_nickname_over_does_not_get_its_letters(
    people: People, chat: Chat
) -> None:
    ana = await people.register("c1", "Ana", "a")
    ben = await people.register("c2", "Ben", "b")
    await chat.say(ana, ToPerson(ben.id), "for your eyes only", "key")
    people.release("c2")
    impostor = await people.register("c3", "Ben", "another")
    assert await people.talks(impostor) == []
    assert (await chat.history(impostor, ToPerson(ana.id), None, None)).messages == []


async def test_history_comes_in_pages(people: People, chat: Chat) -> None:
    ana = await people.register("c1", "Ana", "a")
    await chat.rooms(ana)
    ids = [(await chat.say(ana, ToRoom(SOFA), f"{n}", f"key {n}"))[0].id for n in range(PAGE + 2)]
    newest = await chat.history(ana, ToRoom(SOFA), None, None)
    assert ([m.id for m in newest.messages], newest.more) == (ids[2:], True)
    earlier = await chat.history(ana, ToRoom(SOFA), ids[2], None)
    assert ([m.id for m in earlier.messages], earlier.more) == (ids[:2], False)
    missed = await chat.history(ana, ToRoom(SOFA), None, ids[-2])
    assert ([m.id for m in missed.messages], missed.more) == (ids[-1:], False)
