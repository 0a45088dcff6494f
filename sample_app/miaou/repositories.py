"""Miaou's SQL, and nothing but SQL: one class for each kind of thing, every write one statement."""

from collections.abc import Iterable
from typing import Any

import aiosqlite

from sample_app.miaou.models import (
    Message,
    Page,
    Person,
    Place,
    Room,
    RoomView,
    TalkView,
    ToPerson,
    ToRoom,
)

__all__ = ["Messages", "Persons", "Rooms"]


class Persons:
    """The people who have ever been here."""

    def __init__(self, database: aiosqlite.Connection) -> None:
        self.database = database

    async def save(self, secret: bytes, nickname: str) -> Person:
        """Find the person of that secret, or make one; their nickname is `nickname` from now on."""
        rows = await self.database.execute_fetchall(
            """INSERT INTO person (secret, nickname) VALUES (?, ?)
               ON CONFLICT (secret) DO UPDATE SET nickname = excluded.nickname RETURNING id""",
            (secret, nickname),
        )
        return Person(_only(rows)[0], nickname)

    async def find(self, secret: bytes) -> Person | None:
        rows = await self.database.execute_fetchall(
            "SELECT id, nickname FROM person WHERE secret = ?", (secret,)
        )
        return next((Person(*row) for row in rows), None)

    async def exists(self, person: int) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM person WHERE id = ?)"
        return bool(_only(await self.database.execute_fetchall(query, (person,)))[0])

    async def talks(self, person: int) -> list[TalkView]:
        """Their private conversations, the liveliest first."""
        rows = await self.database.execute_fetchall(
            """SELECT peer.id, peer.nickname,
                      (SELECT count(*) FROM message
                       WHERE recipient = talk.person AND sender = talk.peer AND id > talk.read),
                      (SELECT max(id) FROM message
                       WHERE (recipient = talk.person AND sender = talk.peer)
                          OR (recipient = talk.peer AND sender = talk.person)) AS latest
               FROM talk JOIN person AS peer ON peer.id = talk.peer
               WHERE talk.person = ? ORDER BY latest DESC""",
            (person,),
        )
        return [TalkView(Person(row[0], row[1]), row[2]) for row in rows]


class Rooms:
    """The rooms and their members. A member stays one while away; who is here is not stored."""

    def __init__(self, database: aiosqlite.Connection) -> None:
        self.database = database

    async def add(self, name: str, folded: str) -> Room | None:
        """Make a room; None if there is one of that name."""
        rows = await self.database.execute_fetchall(
            "INSERT INTO room (name, folded) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id",
            (name, folded),
        )
        return next((Room(row[0], name) for row in rows), None)

    async def count(self) -> int:
        return int(_only(await self.database.execute_fetchall("SELECT count(*) FROM room"))[0])

    async def exists(self, room: int) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM room WHERE id = ?)"
        return bool(_only(await self.database.execute_fetchall(query, (room,)))[0])

    async def add_member(self, room: int, person: int) -> None:
        """Make them a member who has read everything so far; nothing if they are one already."""
        await self.database.execute(
            """INSERT INTO member (room, person, read)
               VALUES (?1, ?2, (SELECT coalesce(max(id), 0) FROM message WHERE room = ?1))
               ON CONFLICT DO NOTHING""",
            (room, person),
        )

    async def remove_member(self, room: int, person: int) -> None:
        await self.database.execute(
            "DELETE FROM member WHERE room = ? AND person = ?", (room, person)
        )

    async def is_member(self, room: int, person: int) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM member WHERE room = ? AND person = ?)"
        return bool(_only(await self.database.execute_fetchall(query, (room, person)))[0])

    async def seen_by(self, person: int) -> list[RoomView]:
        """Every room as this person sees it, by name."""
        rows = await self.database.execute_fetchall(
            """SELECT room.id, room.name, member.person IS NOT NULL,
                      (SELECT count(*) FROM message WHERE message.room = member.room
                       AND message.id > member.read AND message.sender <> member.person)
               FROM room LEFT JOIN member ON member.room = room.id AND member.person = ?
               ORDER BY room.folded""",
            (person,),
        )
        return [RoomView(Room(row[0], row[1]), bool(row[2]), row[3]) for row in rows]


NEWEST_IN_ROOM = "SELECT * FROM message WHERE room = ? AND id < ? ORDER BY id DESC LIMIT ?"
NEWEST_OF_TALK = """SELECT * FROM message
    WHERE ((recipient = ?1 AND sender = ?2) OR (recipient = ?2 AND sender = ?1)) AND id < ?
    ORDER BY id DESC LIMIT ?"""
FOLLOWING_IN_ROOM = "SELECT * FROM message WHERE room = ? AND id > ? ORDER BY id LIMIT ?"
FOLLOWING_OF_TALK = """SELECT * FROM message
    WHERE ((recipient = ?1 AND sender = ?2) OR (recipient = ?2 AND sender = ?1)) AND id > ?
    ORDER BY id LIMIT ?"""
READ_ROOM = "UPDATE member SET read = max(read, ?) WHERE person = ? AND room = ?"
READ_TALK = "UPDATE talk SET read = max(read, ?) WHERE person = ? AND peer = ?"


class Messages:
    """What was said, in rooms and in private."""

    def __init__(self, database: aiosqlite.Connection) -> None:
        self.database = database

    async def add(
        self, sender: Person, to: Place, text: str, at: int, key: str
    ) -> tuple[Message, bool]:
        """Keep a message, or find the one of this `key`; the second value: is it still untold?"""
        room = to.id if isinstance(to, ToRoom) else None
        recipient = to.id if isinstance(to, ToPerson) else None
        rows = await self.database.execute_fetchall(
            """INSERT INTO message (room, recipient, sender, nickname, text, at, key)
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (sender, key) DO NOTHING RETURNING *""",
            (room, recipient, sender.id, sender.nickname, text, at, key),
        )
        for row in rows:
            return _message(row), True
        rows = await self.database.execute_fetchall(
            "SELECT * FROM message WHERE sender = ? AND key = ?", (sender.id, key)
        )
        message = _message(_only(rows))
        query = "SELECT EXISTS (SELECT 1 FROM untold WHERE message = ?)"
        untold = _only(await self.database.execute_fetchall(query, (message.id,)))[0]
        return message, bool(untold)

    async def untold(self) -> list[Message]:
        """What is kept and was not yet told to those whom it is for."""
        rows = await self.database.execute_fetchall(
            "SELECT message.* FROM untold JOIN message ON message.id = untold.message ORDER BY id"
        )
        return [_message(row) for row in rows]

    async def told(self, message: int) -> None:
        await self.database.execute("DELETE FROM untold WHERE message = ?", (message,))

    async def newest(self, to: Place, viewer: int, limit: int, before: int | None = None) -> Page:
        """The last `limit` messages, or the last ones before a message."""
        before = before if before is not None else 2**62
        found = await self._select(NEWEST_IN_ROOM, NEWEST_OF_TALK, to, viewer, before, limit)
        return Page(found[:limit][::-1], len(found) > limit)

    async def following(self, to: Place, viewer: int, limit: int, after: int) -> Page:
        """The first `limit` messages after a message."""
        found = await self._select(FOLLOWING_IN_ROOM, FOLLOWING_OF_TALK, to, viewer, after, limit)
        return Page(found[:limit], len(found) > limit)

    async def _select(
        self, in_room: str, of_talk: str, to: Place, viewer: int, edge: int, limit: int
    ) -> list[Message]:
        # One more than asked for: it says whether there is more.
        if isinstance(to, ToRoom):
            rows = await self.database.execute_fetchall(in_room, (to.id, edge, limit + 1))
        else:
            values = (to.id, viewer, edge, limit + 1)
            rows = await self.database.execute_fetchall(of_talk, values)
        return [_message(row) for row in rows]

    async def start_talk(self, person: int, peer: int) -> None:
        """Put a private conversation in both people's lists."""
        await self.database.execute(
            "INSERT INTO talk (person, peer) VALUES (?1, ?2), (?2, ?1) ON CONFLICT DO NOTHING",
            (person, peer),
        )

    async def mark_read(self, person: int, to: Place, message: int) -> None:
        """Remember how far a person has read; never backwards."""
        query = READ_ROOM if isinstance(to, ToRoom) else READ_TALK
        await self.database.execute(query, (message, person, to.id))


def _message(row: Any) -> Message:
    id, room, recipient, sender, nickname, text, at, key = row
    to = ToRoom(room) if room is not None else ToPerson(recipient)
    return Message(id, to, Person(sender, nickname), text, at, key)


def _only(rows: Iterable[Any]) -> Any:
    return next(iter(rows))
