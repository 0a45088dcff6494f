"""What Miaou talks about: people, rooms, messages. The same structs travel to the page."""

from typing import TypeAlias

from msgspec import Struct

__all__ = [
    "Message",
    "Page",
    "Person",
    "Place",
    "Room",
    "RoomView",
    "TalkView",
    "ToPerson",
    "ToRoom",
]


class Person(Struct, frozen=True):
    """Somebody who chats. The id stays theirs; the nickname is the one they use now."""

    id: int
    nickname: str


class Room(Struct, frozen=True):
    """A public room."""

    id: int
    name: str


class ToRoom(Struct, frozen=True, tag_field="kind", tag="room"):
    """A place to talk: everyone in a room."""

    id: int


class ToPerson(Struct, frozen=True, tag_field="kind", tag="person"):
    """A place to talk: one person, in private."""

    id: int


Place: TypeAlias = ToRoom | ToPerson
"""Where something is said; on the wire `{"kind": "room", "id": 3}`."""


class Message(Struct, frozen=True):
    """Something that was said. Ids grow over all places, so that "after id" means "since then"."""

    id: int
    to: Place
    sender: Person
    text: str
    at: int
    """Milliseconds since 1970, as JavaScript counts."""
    key: str
    """Chosen by the sender's page, so that a message that is sent again is stored once."""


class Page(Struct, frozen=True):
    """A stretch of history, oldest first; `more` says that it goes on in the asked direction."""

    messages: list[Message]
    more: bool


class RoomView(Struct, frozen=True):
    """A room as one person sees it in the list."""

    room: Room
    joined: bool
    unread: int


class TalkView(Struct, frozen=True):
    """A private conversation as one of its two people sees it in the list."""

    person: Person
    unread: int
