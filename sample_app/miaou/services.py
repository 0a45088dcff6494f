"""Miaou's rules: who may be called what, who may say what where. They know no socket."""

import time
import unicodedata
from collections.abc import Iterable
from hashlib import sha256

from sample_app.miaou.errors import (
    Invalid,
    NicknameTaken,
    NoSuchPerson,
    NoSuchRoom,
    NotAMember,
    RoomTaken,
    TooManyRooms,
)
from sample_app.miaou.models import Message, Page, Person, Place, Room, RoomView, TalkView, ToRoom
from sample_app.miaou.repositories import Messages, Persons, Rooms

__all__ = ["Chat", "People", "by_nickname"]

NAME_LENGTH = 24
TEXT_LENGTH = 2000
PAGE = 50
MAX_ROOMS = 100
SOFA = 1
"""The room that everyone starts in."""


class People:
    """Who is connected, under which nickname. In memory: it is the truth of this one process."""

    def __init__(self, persons: Persons) -> None:
        self._persons = persons
        self._connected: dict[str, Person] = {}
        # For each nickname without case the secret that holds it, for each of its connections.
        self._holders: dict[str, dict[str, bytes]] = {}

    async def register(self, connection: str, nickname: str, secret: str) -> Person:
        """Give a connection a nickname; raises `Invalid` and `NicknameTaken`.

        The same secret may hold a nickname several times: two tabs, or a page that is back before
        the server has noticed that its old connection is dead.
        """
        nickname = clean_name(nickname, "A nickname")
        digest = digest_of(secret)
        holders = self._holders.setdefault(fold(nickname), {})
        if any(holder != digest for holder in holders.values()):
            raise NicknameTaken(nickname)
        # Taken before the first await, so that of two who ask together only one gets it.
        holders[connection] = digest
        try:
            person = await self._persons.save(digest, nickname)
        except BaseException:
            self._free(connection, nickname)
            raise
        self._connected[connection] = person
        return person

    async def recognize(self, secret: str) -> Person | None:
        """Who has this secret. That they are here, under their nickname, only `register` says."""
        return await self._persons.find(digest_of(secret))

    def who(self, connection: str) -> Person | None:
        """The person who has registered on a connection."""
        return self._connected.get(connection)

    def release(self, connection: str) -> Person | None:
        """Take note that a connection is gone; returns who it was."""
        person = self._connected.pop(connection, None)
        if person is not None:
            self._free(connection, person.nickname)
        return person

    async def talks(self, person: Person) -> list[TalkView]:
        return await self._persons.talks(person.id)

    def _free(self, connection: str, nickname: str) -> None:
        holders = self._holders.get(fold(nickname), {})
        holders.pop(connection, None)
        if not holders:
            self._holders.pop(fold(nickname), None)


class Chat:
    """Rooms and messages."""

    def __init__(self, persons: Persons, rooms: Rooms, messages: Messages) -> None:
        self._persons = persons
        self._rooms = rooms
        self._messages = messages

    async def rooms(self, person: Person) -> list[RoomView]:
        """Every room as the person sees it. Whoever is in none gets a seat on the sofa."""
        views = await self._rooms.seen_by(person.id)
        if not any(view.joined for view in views):
            await self._rooms.add_member(SOFA, person.id)
            views = await self._rooms.seen_by(person.id)
        return views

    async def open_room(self, person: Person, name: str) -> Room:
        """Make a room with its first member; raises `Invalid`, `RoomTaken`, `TooManyRooms`."""
        name = clean_name(name, "A room's name")
        if await self._rooms.count() >= MAX_ROOMS:
            raise TooManyRooms(MAX_ROOMS)
        room = await self._rooms.add(name, fold(name))
        if room is None:
            raise RoomTaken(name)
        await self._rooms.add_member(room.id, person.id)
        return room

    async def join(self, person: Person, room: int) -> None:
        """Make the person a member; raises `NoSuchRoom`."""
        if not await self._rooms.exists(room):
            raise NoSuchRoom
        await self._rooms.add_member(room, person.id)

    async def leave(self, person: Person, room: int) -> None:
        await self._rooms.remove_member(room, person.id)

    async def say(self, sender: Person, to: Place, text: str, key: str) -> tuple[Message, bool]:
        """Keep a message, once for each key; the second value: is it still to be `told`?

        Raises `Invalid`, `NotAMember`, `NoSuchPerson`.
        """
        text = clean_text(text)
        if isinstance(to, ToRoom):
            await self.check_member(sender, to.id)
        elif to.id == sender.id:
            raise Invalid("Talking to oneself works better aloud.")
        elif not await self._persons.exists(to.id):
            raise NoSuchPerson
        else:
            await self._messages.start_talk(sender.id, to.id)
        kept, untold = await self._messages.add(sender, to, text, int(time.time() * 1000), key)
        if untold:
            await self._messages.mark_read(sender.id, to, kept.id)
        return kept, untold

    async def untold(self) -> list[Message]:
        """What a process that was killed has kept, and told nobody."""
        return await self._messages.untold()

    async def told(self, message: Message) -> None:
        await self._messages.told(message.id)

    async def history(
        self, person: Person, to: Place, before: int | None, after: int | None
    ) -> Page:
        """Up to 50 messages: the newest, or those next to one; raises `NotAMember`."""
        if isinstance(to, ToRoom):
            await self.check_member(person, to.id)
        if after is not None:
            return await self._messages.following(to, person.id, PAGE, after)
        return await self._messages.newest(to, person.id, PAGE, before)

    async def mark_read(self, person: Person, to: Place, message: int) -> None:
        await self._messages.mark_read(person.id, to, message)

    async def check_member(self, person: Person, room: int) -> None:
        if not await self._rooms.is_member(room, person.id):
            raise NotAMember


def by_nickname(people: Iterable[Person]) -> list[Person]:
    return sorted(people, key=lambda person: (fold(person.nickname), person.id))


def digest_of(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "replace")).digest()


def fold(name: str) -> str:
    """What two names have in common that people would call the same."""
    return unicodedata.normalize("NFKC", name).casefold()


def clean_name(name: str, what: str) -> str:
    """A name on one line, of visible characters. Markup is fine: the page shows it as text."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not name or len(name) > NAME_LENGTH:
        raise Invalid(f"{what} has 1 to {NAME_LENGTH} characters.")
    # Control, format (which can turn the writing around), surrogates, private use, unassigned.
    if any(unicodedata.category(character).startswith("C") for character in name):
        raise Invalid(f"{what} has visible characters only.")
    return name


def clean_text(text: str) -> str:
    text = text.strip()
    if not text:
        raise Invalid("There is nothing to send yet.")
    if len(text) > TEXT_LENGTH:
        raise Invalid(f"A message has at most {TEXT_LENGTH} characters; this one has {len(text)}.")
    return text
