"""The words that page and gateway exchange: events that go out, payloads that come in."""

from typing import Annotated

from msgspec import Meta, Struct

from gatewright import Event
from sample_app.miaou.models import Message, Person, Place, Room, RoomView, TalkView

__all__ = [
    "HistoryQuery",
    "Left",
    "NewRoom",
    "Read",
    "Registration",
    "RoomOpened",
    "Said",
    "Say",
    "Seat",
    "Typing",
    "Welcome",
]

# Bounds for what a stranger may send. The sentences for people are in services.py: a page that
# keeps to them never meets these.
Name = Annotated[str, Meta(max_length=200)]
Text = Annotated[str, Meta(max_length=8000)]
Key = Annotated[str, Meta(min_length=16, max_length=64)]
Id = Annotated[int, Meta(ge=1, le=2**53)]


class Said(Event, event="said"):
    """A message, to everyone in its place."""

    message: Message


class Typing(Event, event="typing"):
    """Somebody is writing in `to`."""

    to: Place
    person: Person


class Left(Event, event="left"):
    """The person is no member of the room any more, to all of their pages."""

    room: int


class RoomOpened(Event, event="room_opened"):
    """There is a new room, to everyone."""

    room: Room


class Registration(Struct):
    """Who one wants to be.

    `secret` is made up by the browser and kept there: it makes a person the same one again after
    a reconnect, and keeps their private messages from whoever takes the nickname next.
    """

    nickname: Name
    secret: Key


class Seat(Struct):
    """What a session keeps: as whom it has registered. It never leaves the server."""

    nickname: str = ""
    secret: str = ""


class Welcome(Struct):
    """The answer to a registration: all that the page's list shows."""

    me: Person
    rooms: list[RoomView]
    talks: list[TalkView]


class NewRoom(Struct):
    name: Name


class Say(Struct):
    to: Place
    text: Text
    key: Key


class HistoryQuery(Struct):
    """The newest messages of a place, or those right before or right after a message."""

    to: Place
    before: Id | None = None
    after: Id | None = None


class Read(Struct):
    """All of a place up to `message` has been seen."""

    to: Place
    message: Id
