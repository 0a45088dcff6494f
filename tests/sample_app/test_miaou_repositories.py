"""Miaou's SQL, against a real file."""

from pathlib import Path

import pytest

from sample_app.miaou.database import open_database
from sample_app.miaou.models import Person, ToPerson, ToRoom
from sample_app.miaou.repositories import Messages, Persons, Rooms

pytestmark = pytest.mark.anyio

SOFA = ToRoom(1)


@pytest.fixture
async def ana(persons: Persons) -> Person:
    return await persons.save(b"ana's", "Ana")


@pytest.fixture
async def ben(persons: Persons) -> Person:
    return await persons.save(b"ben's", "Ben")


async def say(messages: Messages, sender: Person, to: ToRoom | ToPerson, *texts: str) -> list[int]:
    return [
        (await messages.add(sender, to, text, at=1000, key=f"{to} {text}"))[0].id for text in texts
    ]


async def test_a_secret_is_one_person_under_any_nickname(persons: Persons) -> None:
    first = await persons.save(b"secret", "Ana")
    again = await persons.save(b"secret", "Anita")
    other = await persons.save(b"other", "Ana")
    assert again == Person(first.id, "Anita")
    assert other.id != first.id
    assert await persons.exists(first.id)
    assert not await persons.exists(other.id + 1)


async def test_a_room_has_one_name(rooms: Rooms) -> None:
    room = await rooms.add("Balcony", "balcony")
    assert room is not None
    assert await rooms.add("BALCONY", "balcony") is None
    assert await rooms.count() == 2, "with the sofa"
    assert await rooms.exists(room.id)
    assert not await rooms.exists(room.id + 1)


async def test_membership(rooms: Rooms, ana: Person) -> None:
    assert not await rooms.is_member(1, ana.id)
    await rooms.add_member(1, ana.id)
    await rooms.add_member(1, ana.id)
    assert await rooms.is_member(1, ana.id)
    await rooms.remove_member(1, ana.id)
    assert not await rooms.is_member(1, ana.id)


async def test_history_goes_both_ways(messages: Messages, ana: Person) -> None:
    one, two, three, four = await say(messages, ana, SOFA, "1", "2", "3", "4")

    newest = await messages.newest(SOFA, ana.id, 2)
    assert ([m.id for m in newest.messages], newest.more) == ([three, four], True)
    earlier = await messages.newest(SOFA, ana.id, 2, before=three)
    assert ([m.id for m in earlier.messages], earlier.more) == ([one, two], False)
    after = await messages.following(SOFA, ana.id, 2, after=one)
    assert ([m.id for m in after.messages], after.more) == ([two, three], True)
    rest = await messages.following(SOFA, ana.id, 2, after=three)
    assert ([m.id for m in rest.messages], rest.more) == ([four], False)


async def test_a_message_comes_back_as_it_was_said(messages: Messages, ana: Person) -> None:
    said, new = await messages.add(ana, SOFA, "<b>hi</b>\n'; --", 1234, "key")
    assert new
    assert (await messages.newest(SOFA, ana.id, 9)).messages == [said]
    assert (said.to, said.sender, said.text, said.at) == (SOFA, ana, "<b>hi</b>\n'; --", 1234)


async def test_the_same_key_is_the_same_message(
    messages: Messages, ana: Person, ben: Person
) -> None:
    first, untold = await messages.add(ana, SOFA, "hi", 1, "key")
    assert untold
    assert await messages.add(ana, SOFA, "hi", 2, "key") == (first, True), "nobody was told yet"
    assert await messages.untold() == [first]
    await messages.told(first.id)
    assert await messages.add(ana, SOFA, "hi", 3, "key") == (first, False)
    assert await messages.untold() == []
    bens, _ = await messages.add(ben, SOFA, "hi", 3, "key")
    assert bens != first, "keys are each sender's own"


async def test_a_talk_is_between_two(
    messages: Messages, persons: Persons, ana: Person, ben: Person
) -> None:
    leo = await persons.save(b"leo's", "Leo")
    (asked,) = await say(messages, ana, ToPerson(ben.id), "psst")
    (answered,) = await say(messages, ben, ToPerson(ana.id), "yes?")
    await say(messages, leo, ToPerson(ana.id), "hello")

    for viewer, other in (ana, ben), (ben, ana):
        page = await messages.newest(ToPerson(other.id), viewer.id, 9)
        assert [m.id for m in page.messages] == [asked, answered]
        page = await messages.following(ToPerson(other.id), viewer.id, 9, after=asked)
        assert [m.id for m in page.messages] == [answered]
    assert (await messages.newest(ToPerson(ben.id), leo.id, 9)).messages == []


async def test_unread_in_rooms(messages: Messages, rooms: Rooms, ana: Person, ben: Person) -> None:
    await say(messages, ben, SOFA, "before she came")
    await rooms.add_member(1, ana.id)
    assert [view.unread for view in await rooms.seen_by(ana.id)] == [0]

    one, two = await say(messages, ben, SOFA, "1", "2")
    await say(messages, ana, SOFA, "her own")
    assert [view.unread for view in await rooms.seen_by(ana.id)] == [2]
    await messages.mark_read(ana.id, SOFA, one)
    assert [view.unread for view in await rooms.seen_by(ana.id)] == [1]
    await messages.mark_read(ana.id, SOFA, two)
    await messages.mark_read(ana.id, SOFA, one)
    assert [view.unread for view in await rooms.seen_by(ana.id)] == [0], "never backwards"


async def test_unread_in_talks_and_their_order(
    messages: Messages, persons: Persons, ana: Person, ben: Person
) -> None:
    leo = await persons.save(b"leo's", "Leo")
    await messages.start_talk(ana.id, leo.id)
    await messages.start_talk(ben.id, ana.id)
    await messages.start_talk(ben.id, ana.id)
    await say(messages, leo, ToPerson(ana.id), "a")
    (last,) = await say(messages, ben, ToPerson(ana.id), "b")
    await say(messages, ana, ToPerson(ben.id), "c")

    talks = await persons.talks(ana.id)
    assert [(talk.person, talk.unread) for talk in talks] == [(ben, 1), (leo, 1)]
    await messages.mark_read(ana.id, ToPerson(ben.id), last)
    assert [talk.unread for talk in await persons.talks(ana.id)] == [0, 1]
    assert [talk.person for talk in await persons.talks(leo.id)] == [ana]


async def test_the_file_keeps_everything(path: Path) -> None:
    async with open_database(path) as database:
        ana = await Persons(database).save(b"ana's", "Ana")
        said, _ = await Messages(database).add(ana, SOFA, "remember", 1, "key")
    async with open_database(path) as database:
        assert await Persons(database).save(b"ana's", "Ana") == ana
        assert (await Messages(database).newest(SOFA, ana.id, 9)).messages == [said]
